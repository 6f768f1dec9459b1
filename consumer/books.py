"""The books of a run: its ledger, and each partition's totals, which are committed with the offsets."""

from collections.abc import Mapping, Sequence

from consumer.scoring import Scored, place_of
from shared.kafka.columns import Mark
from shared.ledger import Ledger, Totals

#: By (topic, partition), what a batch commits.
Marks = Mapping[tuple[str, int], Mark]


class Books:
    """Keeps the counts of what is committed.

    Attributes:
        ledger: The counts of this run.
        totals: By partition, the counts since its group began to keep them.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.totals: dict[int, Totals] = {}

    def open(self, committed: Mapping[int, Mark | None]) -> None:
        """Goes on from what the group has committed of each assigned partition."""
        known = {
            partition: Totals.from_metadata(mark.metadata)
            for partition, mark in committed.items()
            if mark is not None
        }
        self.totals = {partition: totals for partition, totals in known.items() if totals is not None}

    def marks(self, batch: Sequence[Scored]) -> Marks:
        """What is to be committed with a batch: the offsets that follow it, and the totals with it."""
        return {
            (scored.events.topic, scored.events.partition): Mark(
                scored.events.next_offset, self._with(scored).to_metadata()
            )
            for scored in batch
        }

    def enter(self, batch: Sequence[Scored]) -> None:
        """Enters a batch that has been committed.

        Raises:
            LedgerError: It does not hold each of its events exactly once.
        """
        for scored in batch:
            self.ledger.add(place_of(scored.events), len(scored.events), scored.outcome)
            self.totals[scored.events.partition] = self._with(scored)

    def _with(self, scored: Scored) -> Totals:
        events = scored.events
        before = self.totals.get(events.partition) or Totals(since=events.offsets[0])
        return before.plus(scored.outcome)
