"""Columns stay in step when batches are joined and cut."""

from shared.kafka.columns import NewRecords, RecordColumns


def columns(start: int, count: int) -> RecordColumns:
    offsets = list(range(start, start + count))
    return RecordColumns(
        "topic",
        0,
        offsets,
        [offset + 1000 for offset in offsets],
        [b"%d" % offset for offset in offsets],
        [b"value %d" % offset for offset in offsets],
        {row: [("at", b"%d" % offset)] for row, offset in enumerate(offsets) if offset % 2},
        start + count,
    )


def test_joined_batches_equal_one_batch() -> None:
    joined = columns(10, 5)
    joined.extend(columns(15, 4))
    assert joined == columns(10, 9)
    assert len(joined) == 9


def test_rows_before_an_offset_are_dropped_with_their_headers() -> None:
    cut = columns(10, 9)
    cut.drop_before(13)
    assert cut == columns(13, 6)


def test_dropping_nothing_changes_nothing() -> None:
    whole = columns(10, 3)
    whole.drop_before(0)
    assert whole == columns(10, 3)


def test_rows_are_cut_from_every_column() -> None:
    records = NewRecords(
        "topic", 1, [b"a", b"b", b"c"], [b"1", b"2", b"3"], [7, 8, 9], [[], [("x", None)], []]
    )
    assert records.rows(1, 3) == NewRecords(
        "topic", 1, [b"b", b"c"], [b"2", b"3"], [8, 9], [[("x", None)], []]
    )
    assert NewRecords("topic", 1, [None], [b"1"], 5).rows(0, 1) == NewRecords("topic", 1, [None], [b"1"], 5)
