"""Our record codec and the client library's own agree on every batch that either can make."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kafka import codec
from kafka.errors import CorruptRecordError
from kafka.record.memory_records import MemoryRecords

from shared.kafka import decode
from shared.kafka.columns import Header, NewRecords
from shared.kafka.decode import Decoded, RawBatch, decode_records
from shared.kafka.encode import BATCH_HEADER, MAX_ROWS, encode_records
from shared.kafka.fast import built
from shared.kafka.selfcheck import column_records, library_built, library_records
from shared.kafka.split import most_bytes, spans

Row = tuple[int, bytes | None, bytes | None, list[Header]]

CODECS = {
    "none": 0,
    "gzip": 1,
    **({"snappy": 2} if codec.has_snappy() else {}),
    **({"lz4": 3} if codec.has_lz4() else {}),
    **({"zstd": 4} if codec.has_zstd() else {}),
}
TIMES = st.integers(0, 2**45)
# Lengths around 64, 8,192 and 65,536 are where the length of a varint, or our table, ends.
LENGTHS = st.sampled_from([62, 63, 64, 65, 8190, 8191, 8192, 65_534, 65_535, 65_536, 70_000])
BYTES = st.none() | st.binary(max_size=80) | LENGTHS.map(lambda length: b"x" * length)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3)
ROWS = st.lists(st.tuples(TIMES, BYTES, BYTES, HEADERS), min_size=1, max_size=8)
# Repeated, a few rows make a batch long enough to be decoded by column.
TIMES_OVER = st.sampled_from([1, 2, 60])


def encoded(rows: list[Row], compression: int) -> bytes:
    times, keys, values, headers = (list(column) for column in zip(*rows, strict=True))
    return built(encode_records(keys, values, headers, times), compression)


@pytest.mark.parametrize("compression", CODECS.values(), ids=CODECS.keys())
@settings(deadline=None, max_examples=60)
@given(rows=ROWS, over=TIMES_OVER)
@example(rows=[(0, None, None, []), (5, b"", b"", [("", None)])], over=1)
@example(rows=[(9, b"k", b"v", []), (3, None, b"v" * 9000, [("n", b"")])], over=30)
def test_the_library_reads_what_we_encode(rows: list[Row], over: int, compression: int) -> None:
    rows = rows * over
    expected = [(offset, *row) for offset, row in enumerate(rows)]
    assert library_records(encoded(rows, compression)) == expected


@given(name=st.binary(min_size=4, max_size=200), over=TIMES_OVER)
@example(name=b"\xff" * 4, over=1)
def test_a_header_name_of_any_bytes_comes_out_as_it_went_in(name: bytes, over: int) -> None:
    sent = encode_records([None] * over, [b""] * over, [[("n" * len(name), b"v")]] * over, 0)
    body = bytes(sent.buffer[BATCH_HEADER:]).replace(b"n" * len(name), name)
    read = decode_records([RawBatch(body, over, 0, 0)])
    headers = [read.headers[row] for row in range(over)]
    assert [header.encode(errors="surrogateescape") for [(header, _)] in headers] == [name] * over
    again = encode_records(read.keys, read.values, headers, 0)
    assert bytes(again.buffer[BATCH_HEADER:]) == body
    records = NewRecords("topic", 0, read.keys, read.values, 0, headers)
    assert len(again.buffer) <= most_bytes(records)


@pytest.mark.parametrize("compression", CODECS.values(), ids=CODECS.keys())
@settings(deadline=None, max_examples=60)
@given(rows=ROWS, over=TIMES_OVER)
@example(rows=[(0, None, None, []), (5, b"", b"", [("", None)])], over=1)
@example(rows=[(9, b"k", b"v", []), (3, None, b"v" * 9000, [("n", b"")])], over=30)
def test_we_read_what_the_library_encodes(rows: list[Row], over: int, compression: int) -> None:
    data = library_built(rows * over, compression)
    assert column_records(data) == library_records(data)


def one_by_one(batches: list[RawBatch]) -> Decoded:
    decoded = Decoded([], [], [], [], {})
    for batch in batches:
        decoded.extend(decode._decode_by_row(batch))
    return decoded


@pytest.mark.parametrize("compression", [0, 1], ids=["none", "gzip"])
@settings(deadline=None, max_examples=60)
@given(batches=st.lists(st.tuples(ROWS, TIMES_OVER), min_size=2, max_size=4))
@example(batches=[([(0, None, None, [])], 1), ([(9, b"k", b"v" * 9000, [("n", b"")])], 60)])
def test_several_batches_are_read_as_the_library_reads_them(
    batches: list[tuple[list[Row], int]], compression: int
) -> None:
    data = b"".join(library_built(rows * over, compression) for rows, over in batches)
    assert column_records(data) == library_records(data)


RAW = st.tuples(st.lists(BYTES, min_size=1, max_size=5), TIMES_OVER, TIMES, st.none() | TIMES)


@settings(deadline=None, max_examples=60)
@given(batches=st.lists(RAW, min_size=1, max_size=4), gap=st.integers(0, 2**40), data=st.data())
def test_batches_read_together_give_what_each_gives_alone_or_are_refused(
    batches: list[tuple[list[bytes | None], int, int, int | None]], gap: int, data: st.DataObject
) -> None:
    raw: list[RawBatch] = []
    for place, (values, over, time, append_time) in enumerate(batches):
        made = encode_records([None] * len(values) * over, values * over, None, time)
        raw.append(RawBatch(bytes(made.buffer[BATCH_HEADER:]), made.rows, place * gap, time, append_time))
    assert decode_records(raw) == one_by_one(raw)
    # Counts that are wrong by as much as they are right together, or bytes that a neighbour lacks.
    which = data.draw(st.integers(0, len(raw) - 1))
    change = data.draw(st.sampled_from(["more", "less", "cut"]))
    wrong = {
        "more": raw[which]._replace(rows=raw[which].rows + 1),
        "less": raw[which]._replace(rows=raw[which].rows - 1),
        "cut": raw[which]._replace(body=raw[which].body[:-1]),
    }[change]
    after = raw[which + 1 :]
    if after and change != "cut":
        after[0] = after[0]._replace(rows=after[0].rows + raw[which].rows - wrong.rows)
    elif after:
        after[0] = after[0]._replace(body=raw[which].body[-1:] + after[0].body)
    with pytest.raises(CorruptRecordError):
        decode_records([*raw[:which], wrong, *after])


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, over=TIMES_OVER)
def test_both_encoders_write_the_same_bytes(rows: list[Row], over: int) -> None:
    assert encoded(rows * over, 0) == library_built(rows * over, 0)


@settings(deadline=None)
@given(
    values=st.lists(BYTES, min_size=1, max_size=40),
    time=TIMES,
    base=st.integers(0, 2**40),
    append_time=st.none() | TIMES,
)
def test_one_time_for_all_and_offsets_from_the_base(
    values: list[bytes | None], time: int, base: int, append_time: int | None
) -> None:
    batch = encode_records([None] * len(values), values, None, time)
    body = bytes(batch.buffer[BATCH_HEADER:])
    decoded = decode_records([RawBatch(body, batch.rows, base, batch.first_timestamp, append_time)])
    assert decoded.offsets == list(range(base, base + len(values)))
    assert decoded.timestamps == [time if append_time is None else append_time] * len(values)
    assert decoded.values == values
    assert decoded.keys == [None] * len(values)


@settings(deadline=None, max_examples=200)
@given(rows=ROWS, over=TIMES_OVER, data=st.data())
def test_damaged_bytes_are_refused_where_the_library_refuses_them(
    rows: list[Row], over: int, data: st.DataObject
) -> None:
    rows = [
        (time, key and key[:80], value and value[:80], headers) for time, key, value, headers in rows
    ] * over
    whole = library_built(rows)
    at = data.draw(st.integers(BATCH_HEADER, len(whole) - 1))
    change = data.draw(st.sampled_from(["cut", "flip", "more"]))
    body = {
        "cut": whole[BATCH_HEADER:at],
        "flip": whole[BATCH_HEADER:at]
        + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))])
        + whole[at + 1 :],
        "more": whole[BATCH_HEADER:] + b"\x00",
    }[change]
    ours, library = outcome(body, len(rows)), library_outcome(whole[:BATCH_HEADER] + body)
    assert ours == library or library_is_stricter(ours, library, body)


@pytest.mark.parametrize("rows", [3, 60], ids=["by row", "by column"])
def test_every_flipped_bit_is_refused_or_read_as_the_library_reads_it(rows: int) -> None:
    many: list[Row] = [(row, b"key", None if row % 2 else b"v" * 70, [("n", b"v")]) for row in range(rows)]
    whole = library_built(many)
    last = len(library_built(many[:-1]))
    for at in range(last, len(whole)):
        for bit in range(8):
            body = whole[BATCH_HEADER:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
            ours, library = outcome(body, rows), library_outcome(whole[:BATCH_HEADER] + body)
            assert ours == library or library_is_stricter(ours, library, body), (at, bit)


def library_is_stricter(ours: object, library: object, body: bytes) -> bool:
    """Whether the two differ in what they may.

    The library reads the attributes as a number of any length, though they are one unused byte, and stops at
    a header's name that is not UTF-8, where ours goes on.
    """
    if library != "refused" or not isinstance(ours, list):
        return False
    names = [name for *_, headers in ours for name, _ in headers]
    return not all(map(is_utf8, names)) or any(record_attributes(body, len(ours)))


def is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def record_attributes(body: bytes, count: int) -> list[int]:
    """Each record's attributes, found by the lengths alone."""
    attributes, at = [], 0
    for _ in range(count):
        shift = length = 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        attributes.append(body[at])
        at += length >> 1
    return attributes


def outcome(body: bytes, count: int) -> object:
    try:
        decoded = decode_records([RawBatch(body, count, 0, 0)])
    except CorruptRecordError:
        return "refused"
    headers = [decoded.headers.get(row, []) for row in range(count)]
    return list(zip(decoded.offsets, decoded.timestamps, decoded.keys, decoded.values, headers, strict=True))


def library_outcome(data: bytes) -> object:
    (batch,) = MemoryRecords(data[:8] + (len(data) - 12).to_bytes(4, "big") + data[12:])
    first = batch.first_timestamp
    try:
        return [(r.offset, r.timestamp - first, r.key, r.value, r.headers) for r in batch]
    except CorruptRecordError:
        return "refused"


@settings(deadline=None)
@given(rows=ROWS, over=TIMES_OVER, limit=st.integers(200, 5000))
def test_batches_cut_to_a_limit_keep_it_and_every_row(rows: list[Row], over: int, limit: int) -> None:
    times, keys, values, headers = (list(column) for column in zip(*(rows * over), strict=True))
    records = NewRecords("topic", 0, keys, values, times, headers)
    cuts = spans(records, limit)
    assert [row for start, stop in cuts for row in range(start, stop)] == list(range(len(records)))
    for start, stop in cuts:
        cut = records.rows(start, stop)
        if stop - start > 1:
            assert len(built(encode_records(cut.keys, cut.values, cut.headers, cut.timestamp))) <= limit


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8191, 8192, 12_288, 16_384, 100_000, 1_000_000])
def test_usual_batches_are_decoded_by_column(length: int) -> None:
    keys = [None if row % 3 else b"key %d" % row for row in range(60)]
    batch = encode_records(keys, [b"v" * length] * 60, None, list(range(5, 65)))
    raw = RawBatch(bytes(batch.buffer[BATCH_HEADER:]), 60, 7, batch.first_timestamp)
    by_column = decode._decode_by_column([raw])
    assert by_column is not None, "only slower, and nobody would notice"
    assert by_column == decode._decode_by_row(raw)
    several = [raw, raw._replace(base_offset=90, append_time=5), raw._replace(base_offset=1000)]
    together = decode._decode_by_column(several)
    assert together is not None, "only slower, and nobody would notice"
    assert together == one_by_one(several)


def test_a_batch_has_at_most_so_many_rows() -> None:
    count = MAX_ROWS + 1
    records = NewRecords("topic", 0, [None] * count, [b"x"] * count, 0)
    assert spans(records, 1 << 30) == [(0, MAX_ROWS), (MAX_ROWS, count)]
    with pytest.raises(ValueError, match="not one record batch"):
        encode_records(records.keys, records.values, None, 0)
