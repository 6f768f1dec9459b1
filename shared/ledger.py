"""The counts that must balance: everything read was scored or rejected."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field

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


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of one partition since a group began to keep them, whoever scored its events.

    They are committed with the partition's offset, as its metadata, and go on from there.

    Attributes:
        since: The first offset that is counted.
        read: Events read.
        scored: Events scored.
        rejected: Events rejected.
    """

    since: int
    read: int = 0
    scored: int = 0
    rejected: int = 0

    def plus(self, outcome: Outcome) -> "Totals":
        """The counts with those of a batch of the partition."""
        return Totals(
            self.since,
            self.read + outcome.total,
            self.scored + len(outcome.rows),
            self.rejected + len(outcome.rejections),
        )

    def to_metadata(self) -> str:
        """The text that is committed with an offset."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_metadata(cls, text: str) -> "Totals | None":
        """What `to_metadata` wrote; None for any other text, as another program commits it."""
        try:
            known = json.loads(text)
            counts = [known[name] for name in ("since", "read", "scored", "rejected")]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return cls(*counts) if all(type(count) is int and count >= 0 for count in counts) else None


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
