"""The ledger balances or stops the run."""

from collections.abc import Sequence

import numpy as np
import pytest

from shared.ledger import Ledger, LedgerError
from shared.predict import Outcome
from shared.schema import Reason, Rejection


def outcome(total: int, scored: int, reasons: Sequence[Reason] = ()) -> Outcome:
    rejections = tuple(Rejection(row, reason, None, "") for row, reason in enumerate(reasons))
    scores = np.zeros(scored)
    return Outcome(total, np.arange(scored), [0] * scored, None, scores, scores > 0, rejections)


def test_counts_are_kept_by_place_and_summed() -> None:
    ledger = Ledger()
    ledger.add("t/0", 3, outcome(3, 2, [Reason.TOMBSTONE]))
    ledger.add("t/1", 2, outcome(2, 0, [Reason.TOMBSTONE, Reason.NOT_JSON]))
    ledger.add("t/0", 1, outcome(1, 1))
    assert (ledger.read, ledger.scored, ledger.rejected) == (6, 3, 3)
    assert ledger.reasons == {Reason.TOMBSTONE: 2, Reason.NOT_JSON: 1}
    assert (ledger.accounts["t/0"].read, ledger.accounts["t/0"].scored) == (4, 3)


@pytest.mark.parametrize(
    ("read", "result"),
    [(4, outcome(3, 3)), (3, outcome(3, 2)), (3, outcome(3, 3, [Reason.NOT_JSON])), (3, outcome(4, 3))],
)
def test_a_row_lost_or_made_twice_stops_the_run(read: int, result: Outcome) -> None:
    ledger = Ledger()
    ledger.add("t/0", 1, outcome(1, 1))
    with pytest.raises(LedgerError, match=f"t/0: {read} rows read, but"):
        ledger.add("t/0", read, result)
    assert ledger.read == 1
