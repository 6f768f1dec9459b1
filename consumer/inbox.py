"""Events that were polled and are not scored yet."""

from collections.abc import Sequence

from shared.kafka.columns import RecordColumns


class Inbox:
    """Holds polled events, each partition's in order, until a batch of them is taken."""

    def __init__(self) -> None:
        # In order of arrival: the partition that has waited longest comes first.
        self._waiting: dict[int, RecordColumns] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def partitions(self) -> set[int]:
        """Those that events wait of."""
        return set(self._waiting)

    def add(self, polled: Sequence[RecordColumns]) -> None:
        """Puts what a poll gave behind what is there."""
        for columns in polled:
            there = self._waiting.get(columns.partition)
            if there is None:
                self._waiting[columns.partition] = columns
            else:
                there.extend(columns)

    def take(self, most: int) -> list[RecordColumns]:
        """Removes and returns up to `most` events, one entry a partition."""
        taken = []
        while self._waiting and most > 0:
            partition, columns = next(iter(self._waiting.items()))
            head = columns.head(most)
            if head is columns:
                del self._waiting[partition]
            else:
                self._waiting[partition] = columns.tail(most)
            taken.append(head)
            most -= len(head)
        return taken

    def clear(self) -> None:
        """Forgets all: the events come again."""
        self._waiting.clear()
