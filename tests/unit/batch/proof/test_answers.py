"""Predictions and dead letters as answers by position: in any order, in little memory, each one kept."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.export import record_batch
from batch.folder import LocalFolder
from batch.proof.answers import ANSWERS, LETTER, PREDICTION
from batch.proof.spill import Books, Spill, Spilled, books_in, write_books
from batch.proof.stamps import Read, Reading
from batch.proof.window import WINDOW_OFFSETS
from batch.snapshots import RECORD_SCHEMA
from shared.dead_letters import ATTEMPT, BYTES, OFFSET, PARTITION, TIMESTAMP
from shared.errors import InputError
from shared.kafka.columns import RecordColumns
from shared.replay_log import Replayed
from shared.schema import Reason
from tests.support.evidence import EVENTS, PREDICTIONS, TIME, prediction, records
from tests.support.letters import NOW, letter_columns

KEYS = ["partition", "offset", "kind", "at_partition", "at_offset"]


def reading(topic: str = EVENTS, at_partition: int = 0) -> Reading:
    """Reads answers of a topic of three partitions."""
    return Reading(topic, {0, 1, 2}, at_partition, Replayed())


def read(columns: RecordColumns, topic: str = EVENTS) -> Read:
    """What records give."""
    batch = record_batch(columns, RECORD_SCHEMA, None)
    reader = reading(topic, columns.partition)
    return reader.predictions(batch) if columns.topic == PREDICTIONS else reader.letters(batch)


@pytest.mark.parametrize("topic", [EVENTS, "a.b_c-d", "é", "(.*)", "12"])
def test_a_prediction_is_known_by_its_position(topic: str) -> None:
    """Whatever the topic's name; also where it stands on another partition than its event."""
    places = [(1, 5), (1, 0), (2, 7), (1, 10**17), (0, 3)]
    values = [prediction(offset, partition, topic) for partition, offset in places]
    found = read(records(PREDICTIONS, values, partition=1, start=40), topic)
    assert found.answers.schema == ANSWERS
    rows = found.answers.to_pylist()
    assert [(row["partition"], row["offset"]) for row in rows] == places
    assert [(row["at_partition"], row["at_offset"]) for row in rows] == [(1, 40 + row) for row in range(5)]
    assert [row["value"] for row in rows] == values
    assert {(row["kind"], row["model"], row["model_sha256"], row["reason"]) for row in rows} == {
        (PREDICTION, "threshold@1", "0123456789ab", None)
    }
    assert [row["timestamp"] for row in rows] == [TIME + 40 + row for row in range(5)]
    assert (found.foreign, found.elsewhere, found.first) == (0, 0, 5)


@pytest.mark.parametrize(
    ("position", "foreign"),
    [
        (f"{EVENTS}/0/01", True),
        (f"{EVENTS}/00/1", True),
        (f"{EVENTS}/0/-1", True),
        (f"{EVENTS}/0/+1", True),
        (f"{EVENTS}/0/ 1", True),
        (f"{EVENTS}/0/1 ", True),
        (f"{EVENTS}/0/\u0661", True),
        (f"{EVENTS}/0/", True),
        (f"{EVENTS}/0", True),
        (f"{EVENTS}/0/1/2", True),
        (f"{EVENTS}/0/99999999999999999999", True),
        (f"{EVENTS}/3/1", True),
        ("", True),
        (f"x{EVENTS}/0/1", False),
        (f"{EVENTS}2/0/1", False),
    ],
)
def test_what_is_no_position_of_the_topic_is_no_answer(position: str, foreign: bool) -> None:
    value = prediction(0).replace(f"{EVENTS}/0/0".encode(), position.encode())
    found = read(records(PREDICTIONS, [prediction(4), value, prediction(5)]))
    assert found.answers.column("offset").to_pylist() == [4, 5]
    assert (found.foreign, found.elsewhere) == ((1, 0) if foreign else (0, 1))
    assert (None if found.first_foreign is None else found.first_foreign[0]) == (1 if foreign else None)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[]",
        b'{"prediction_id": 7}',
        b'{"prediction_id": "customers/0/1"}',
        b'{"prediction_id": "customers/0/1", "model": null, "model_sha256": ""}',
        b'{"prediction_id": "customers/0/1", "model": "m@1", "model_sha256": ""',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_prediction_is_no_answer(value: bytes | None) -> None:
    found = read(records(PREDICTIONS, [value, prediction(5)]))
    assert found.answers.column("offset").to_pylist() == [5]
    assert found.foreign == 1
    assert found.first_foreign is not None
    assert found.first_foreign[0] == 0
    assert found.first_foreign[1].startswith("no prediction: ")


def test_a_letter_is_known_by_its_headers() -> None:
    columns = letter_columns([b"x", None], 8, at=3, reason=Reason.WRONG_TYPE, model="m@2", own=[("a", b"b")])
    columns.extend(letter_columns([b"long"], 20, at=5, stub=True))
    columns.extend(letter_columns([b"z"], 1, at=6, topic="other"))
    found = read(columns)
    rows = found.answers.to_pylist()
    assert [(row["offset"], row["at_offset"], row["kind"]) for row in rows] == [
        (8, 3, LETTER),
        (9, 4, LETTER),
        (20, 5, LETTER),
    ]
    assert [row["value"] for row in rows] == [b"x", None, None]
    assert [(row["bytes"], row["sha256"] is None) for row in rows] == [(None, True), (None, True), (4, False)]
    assert [(row["reason"], row["model"]) for row in rows[:2]] == [("wrong_type", "m@2")] * 2
    assert {(row["model_sha256"], row["timestamp"]) for row in rows} == {(None, NOW)}
    assert (found.foreign, found.elsewhere, found.first) == (0, 1, 8)


def test_a_record_without_a_letter_s_headers_is_no_letter() -> None:
    columns = letter_columns([b"x"], 8)
    columns.extend(records("dead-letters", [b"stranger"], start=9))
    columns.extend(letter_columns([b"y"], 5, at=10, partition=0))
    found = read(columns)
    assert (found.answers.column("offset").to_pylist(), found.foreign) == ([8, 5], 1)
    assert found.first_foreign is not None
    assert found.first_foreign[0] == 9
    far = letter_columns([b"x"], 8, partition=7)
    assert (read(far).foreign, read(far).first_foreign) == (
        1,
        (8, "its event would be of partition 7, which the input topic does not have"),
    )


@pytest.mark.parametrize("name", [OFFSET, PARTITION, TIMESTAMP, BYTES, ATTEMPT])
def test_a_number_that_no_letter_has_is_of_a_stranger(name: str) -> None:
    for number in (b"9223372036854775808", b"9" * 19, b"9" * 400):
        columns = letter_columns([b"x"], 8, stub=True)
        columns.headers[0] = list((dict(columns.headers[0]) | {name: number}).items())
        found = read(columns)
        assert (found.foreign, found.answers.num_rows) == (1, 0)


def test_what_a_letter_holds_counts_and_not_what_its_headers_say_of_it() -> None:
    columns = letter_columns([b"short", b"l" * 5000], 8, stub=True)
    columns.values[:] = [b"other", b"o" * 5000]
    short, long = read(columns).answers.to_pylist()
    assert (short["value"], short["sha256"], short["stub"]) == (b"other", None, False)
    digest = hashlib.sha256(b"o" * 5000).hexdigest()
    assert (long["value"], long["bytes"], long["sha256"], long["stub"]) == (None, 5000, digest, False)


def answers_at(places: list[tuple[int, int, int, int]]) -> pa.Table:
    """Answers of a partition, an offset, a kind and a partition where they stand, in turn."""
    count = len(places)
    given: dict[str, list[int] | list[str]] = {
        name: [place[number] for place in places]
        for number, name in enumerate(["partition", "offset", "kind", "at_partition"])
    }
    given |= {"at_offset": [*range(count)], "timestamp": [0] * count, "model": ["m@1"] * count}
    return pa.table(
        [pa.array(given.get(field.name, [None] * count), field.type) for field in ANSWERS], schema=ANSWERS
    )


PLACES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3 * WINDOW_OFFSETS), st.integers(0, 1), st.integers(0, 1)),
    max_size=60,
)


@settings(max_examples=25, deadline=None)
@given(places=PLACES, most=st.sampled_from([0, 500, 5_000, 1 << 30]), size=st.integers(1, 20))
def test_whatever_the_order_and_the_memory_each_answer_is_found_in_its_window(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int, int, int]], most: int, size: int
) -> None:
    folder = LocalFolder(tmp_path_factory.mktemp("spill"))
    answers = answers_at(places)
    spill = Spill(folder, most)
    for at in range(0, len(places), size):
        spill.add(answers.slice(at, size))
    books = Books(windows=spill.finish())
    spilled = Spilled({folder.path: books})
    found: Counter[tuple[int, ...]] = Counter()
    for partition in range(3):
        for window in spilled.windows(partition):
            here = spilled.answers(partition, window)
            keys = [tuple(row[name] for name in KEYS) for row in here.to_pylist()]
            assert keys == sorted(keys)
            assert {key[0] for key in keys} == {partition}
            assert {key[1] // WINDOW_OFFSETS for key in keys} == {window}
            assert spilled.count(partition, window) == len(keys)
            ours = [at for _, _, kind, where, at in keys if kind == PREDICTION and where == partition]
            assert spilled.least(partition, window) == min(ours, default=None)
            found.update(keys)
    assert found == Counter((*place, at) for at, place in enumerate(places))


def test_what_waits_in_memory_is_bounded(tmp_path: Path) -> None:
    """Also where each batch has one answer of a window of its own: it does not keep the others in memory."""
    spill = Spill(LocalFolder(tmp_path), 1 << 20)
    before, most = pa.total_allocated_bytes(), 0
    for batch in range(50):
        offsets = [*range(5_000), batch * WINDOW_OFFSETS]
        spill.add(answers_at([(0, offset, PREDICTION, 0) for offset in offsets]))
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 4 << 20
    assert sum(window.answers for window in spill.finish()) == 50 * 5_001


def test_a_lost_file_of_answers_is_a_sentence(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    spill = Spill(folder)
    spill.add(answers_at([(0, 1, PREDICTION, 0), (0, 2, PREDICTION, 0)]))
    books = Books(windows=spill.finish())
    write_books(folder, books)
    assert books_in(tmp_path) == books
    [file] = tmp_path.glob("*.arrow")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"0-0-0.arrow: cannot be read"):
        Spilled({tmp_path: books}).answers(0, 0)
    changed = books.model_copy(update={"windows": [books.windows[0].model_copy(update={"files": 0})]})
    with pytest.raises(InputError, match="not all there"):
        Spilled({tmp_path: changed}).answers(0, 0)
    (tmp_path / "books.json").write_text("{")
    with pytest.raises(InputError, match=r"books.json: cannot be read"):
        books_in(tmp_path)


def test_a_window_without_answers_is_empty(tmp_path: Path) -> None:
    found = Spilled({tmp_path: Books()})
    assert found.answers(3, 4) == ANSWERS.empty_table()
    assert (found.windows(3), found.least(3, 4), found.count(3, 4)) == ([], None, 0)
    assert np.array_equal(found.answers(3, 4).column("offset").to_numpy(), np.array([], np.int64))
