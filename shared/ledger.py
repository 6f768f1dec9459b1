"""The counts that must balance: everything read was scored or rejected."""

from collections import Counter
from dataclasses import dataclass, field

from shared.errors import ExitCode, TandemError
from shared.predict import Outcome
from shared.schema import Reason


class LedgerError(TandemError):
    """The counts do not balance, so that a row was lost or made twice: a fault of Tandem itself."""

    exit_code = ExitCode.FAULT


def check_balance(place: str, read: int, outcome: Outcome) -> None:
    """Sees that a batch's outcome holds each row exactly once; to be asked before anything is written.

    Args:
        place: The partition (`topic/0`) or file that the batch came from.
        read: How many rows were read.
        outcome: What became of them.

    Raises:
        LedgerError: It does not.
    """
    scored, rejected = len(outcome.rows), len(outcome.rejections)
    if not read == outcome.total == scored + rejected:
        raise LedgerError(
            f"{place}: {read} rows read, but {scored} scored and {rejected} rejected",
            hint="Nothing more is written. This is a fault of Tandem: please report it.",
        )


@dataclass(slots=True)
class Account:
    """The counts of one partition or file."""

    read: int = 0
    scored: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)


class Ledger:
    """Counts by partition or file, checked at every addition."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def add(self, place: str, read: int, outcome: Outcome) -> None:
        """Enters what became of a batch, once it is committed or written.

        Args:
            place: The partition (`topic/0`) or file that the batch came from.
            read: How many rows were read.
            outcome: What became of them.

        Raises:
            LedgerError: When the outcome does not hold each row exactly once.
        """
        check_balance(place, read, outcome)
        account = self.accounts.setdefault(place, Account())
        account.read += read
        account.scored += len(outcome.rows)
        account.rejected.update(rejection.reason for rejection in outcome.rejections)

    @property
    def read(self) -> int:
        """Rows read."""
        return sum(account.read for account in self.accounts.values())

    @property
    def scored(self) -> int:
        """Rows scored."""
        return sum(account.scored for account in self.accounts.values())

    @property
    def rejected(self) -> int:
        """Rows rejected."""
        return sum(self.reasons.values())

    @property
    def reasons(self) -> Counter[Reason]:
        """Rows rejected, by reason."""
        total: Counter[Reason] = Counter()
        for account in self.accounts.values():
            total.update(account.rejected)
        return total
