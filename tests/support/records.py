"""Records to write and a way to read them back, for the broker tests."""

from collections.abc import Callable

from shared.deadline import Deadline
from shared.kafka.columns import NewRecords, RecordColumns
from shared.kafka.reader import Reader
from shared.kafka.writer import Writer

MakeTopic = Callable[..., str]
MakeReader = Callable[..., Reader]
MakeWriter = Callable[..., Writer]
TIME = 1_700_000_000_000


def records(topic: str, values: list[bytes], partition: int = 0) -> NewRecords:
    """Records without keys, all of one time."""
    return NewRecords(topic, partition, [None] * len(values), values, TIME)


def read(reader: Reader, count: int, seconds: float = 20) -> dict[int, RecordColumns]:
    """The next `count` records, merged by partition."""
    deadline = Deadline.after(seconds)
    found: dict[int, RecordColumns] = {}
    while sum(map(len, found.values())) < count and not deadline.passed:
        for columns in reader.poll(min(1.0, deadline.remaining)):
            found.setdefault(columns.partition, RecordColumns(columns.topic, columns.partition)).extend(
                columns
            )
    assert sum(map(len, found.values())) == count
    return found


def put(writer: Writer, *batches: NewRecords) -> None:
    """Writes and waits until all is acknowledged."""
    for batch in batches:
        writer.write(batch)
    writer.flush(Deadline.after(20))
