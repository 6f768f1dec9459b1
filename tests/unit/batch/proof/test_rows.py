"""The proof against rows of a table: each planted fault is told as what it is, and nothing else."""

import errno
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch import durable
from batch.folder import LocalFolder
from batch.manifest import Column, PartitionRange, Run, Snapshot, write_manifest
from batch.proof import buckets
from batch.proof.classes import Found
from batch.proof.judge import PartitionJudge
from batch.proof.models import Models
from batch.proof.result import FeatureParity
from batch.proof.rows import AgainstRows, BatchSide, RowsResult
from batch.proof.settings import JoinInput
from batch.sinks import ParquetSink
from batch.snapshots import snapshot_schema
from batch.writers import PartWriter
from producer.message import Message
from shared.errors import ConfigurationError, InputError
from shared.predict import Predictor
from shared.progress import Meter
from tests.support.models import linear_model
from tests.support.proofs import Recorded, recorded
from tests.support.tables import write_rows

Row = dict[str, Any]
Against = Callable[..., RowsResult]

TOPICS = {"events": "customers", "predictions": "predictions", "dead-letters": "dead-letters"}
EVENTS = 400
INPUTS: tuple[dict[str, Any], ...] = (
    {"name": "hour", "type": "integer", "minimum": 0, "maximum": 23},
    {"name": "charges", "type": "number"},
    {"name": "total", "type": "number", "default": 20.5},
    {"name": "partner", "type": "boolean"},
    {"name": "contract", "type": "category", "values": ["Monthly", "One year", "Two year"]},
)
WEIGHTS = {
    "hour": -0.0373,
    "charges": 0.217,
    "total": 0.0217,
    "partner": -0.31,
    "contract": {"Monthly": 0.76, "One year": -0.013, "Two year": -0.7},
}
FIELDS = [entry["name"] for entry in INPUTS]


def made_up(count: int = EVENTS) -> list[Row]:
    """Events of one customer each."""
    random = np.random.default_rng(3)
    values = ("Monthly", "One year", "Two year")
    return [
        {
            "customer_id": f"c-{number}",
            "event_id": f"e-{number}",
            "occurred_at": f"2026-03-{1 + number % 28:02}T{number % 24:02}:15:30.25Z",
            "hour": number % 24,
            "charges": float(np.round(random.normal(2, 4), 2)),
            "total": float(random.gamma(2, 9)),
            "partner": bool(number % 3),
            "contract": values[int(random.integers(3))],
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model with an input of each type."""
    golden = made_up(2)
    folder = tmp_path_factory.mktemp("models") / "linear"
    return Predictor.load(linear_model(folder, inputs=INPUTS, weights=WEIGHTS, golden=golden))


def streamed(predictors: Sequence[Predictor], events: Sequence[Row | bytes], **options: Any) -> Recorded:
    """What an honest stream made of events."""
    values = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return recorded([Message(None, value) for value in values], predictors, **options)


@pytest.fixture
def against(tmp_path: Path, predictor: Predictor) -> Against:
    """Proves what a stream has made of events against rows."""

    def prove(
        rows: Path,
        *made: Recorded,
        on: JoinInput = "event_id",
        predictors: Sequence[Predictor] = (predictor,),
        sample: float = 1.0,
        **options: Any,
    ) -> RowsResult:
        models = Models([one.model for one in predictors])
        sides = made or (streamed(predictors, made_up()),)
        side = AgainstRows(
            BatchSide(str(rows), on, **options),
            models=models,
            topics=TOPICS,
            folder=tmp_path / "work",
            events=EVENTS,
            examples=3,
        )
        side.check()
        for one in sides:
            lay_by(side, models, one, sample)
        with Meter() as meter:
            return side.result([one.partition for one in sides], meter, 0.5)

    return prove


def lay_by(side: AgainstRows, models: Models, made: Recorded, sample: float = 1.0) -> None:
    """Judges a partition on the topic, and lays its events by."""
    judge = PartitionJudge(models, TOPICS, sample=sample)
    laid = side.lay(made.partition)
    for window in made.windows(100):
        laid.add(judge.judge(window))
    laid.end()


def only(result: RowsResult, found: Found, count: int) -> None:
    """Sees that a fault is told as what it is, and nothing else is found."""
    wrong = {one: times for one, times in result.counts.items() if times and one is not Found.IDENTICAL}
    assert wrong == {found: count}
    assert len(result.examples) == min(count, 3)
    assert {example.found for example in result.examples} == {found}


def differing(result: RowsResult) -> dict[str, FeatureParity]:
    """The inputs that do not agree."""
    return {one.feature: one for one in result.features if one.mismatched or one.missing or one.extra}


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "ndjson", "arrow"])
@pytest.mark.parametrize("on", ["event_id", "customer_id"])
def test_an_honest_table_is_identical_in_every_format(
    tmp_path: Path, against: Against, form: str, on: str
) -> None:
    """The same events as a file of rows get the same answers, to the bit."""
    result = against(write_rows(tmp_path, form, made_up()[::-1]), on=on)
    assert result.counts == {found: EVENTS if found is Found.IDENTICAL else 0 for found in Found}
    assert (result.rows, result.rows_without_event) == (EVENTS, 0)
    assert (result.examples, result.explaining, result.notes, differing(result)) == ([], [], [], {})
    ids = ["customer_id"] if on == "event_id" else []
    assert [one.feature for one in result.features] == [*ids, "occurred_at", *FIELDS]
    assert {one.compared for one in result.features} == {EVENTS}
    said = result.matrix
    assert said["true"]["true"] + said["false"]["false"] == EVENTS
    assert min(said["true"]["true"], said["false"]["false"]) > 0


def test_a_decimal_comma_is_told_with_the_text_that_the_file_has(tmp_path: Path, against: Against) -> None:
    """The row cannot be read, so that the input at fault is the difference."""
    rows = made_up()
    rows[7]["charges"] = str(rows[7]["charges"]).replace(".", ",")
    result = against(write_rows(tmp_path, "csv", rows))
    only(result, Found.OTHER_INPUT, 1)
    (example,) = result.examples
    assert (example.field, example.batch_value) == ("charges", rows[7]["charges"])
    assert example.stream_value == repr(made_up()[7]["charges"])
    assert example.position == f"customers/0/{7}"
    assert "not a number" in example.detail
    assert example.batch is not None
    assert (example.batch.reason, example.batch.position) == ("wrong_type", "rows.csv/7")
    (parity,) = differing(result).values()
    assert parity == FeatureParity(feature="charges", compared=EVENTS, mismatched=1, missing=0, extra=0)


def test_a_table_of_a_locale_with_decimal_commas_differs_in_its_numbers(
    tmp_path: Path, against: Against
) -> None:
    """Such files have semicolons between their fields; whole numbers read the same all over the world."""
    path = write_rows(tmp_path, "csv", made_up())
    text = path.read_text("utf-8").replace(",", ";")
    path.write_text(text, "utf-8")
    assert against(path, delimiter=";").counts[Found.IDENTICAL] == EVENTS
    path.write_text(re.sub(r"(?<=;)(-?\d+)\.(?=\d+;)", r"\1,", text), "utf-8")
    result = against(path, delimiter=";")
    only(result, Found.OTHER_INPUT, EVENTS)
    # Whoever mends this input finds the next.
    assert differing(result) == {
        "charges": FeatureParity(feature="charges", compared=EVENTS, mismatched=EVENTS, missing=0, extra=0)
    }


def test_times_in_another_zone_are_the_same_instants(tmp_path: Path, against: Against) -> None:
    """A table may hold local times, as long as it says so."""
    rows = made_up()
    for row in rows:
        date, time = row["occurred_at"].split("T")
        hour = int(time[:2])
        shifted = (hour, "+00:00") if hour < 2 else (hour - 2, "-02:00")
        row["occurred_at"] = f"{date}T{shifted[0]:02}{time[2:-1]}{shifted[1]}"
    assert against(write_rows(tmp_path, "csv", rows)).counts[Found.IDENTICAL] == EVENTS
    table = pa.Table.from_pylist(made_up())
    place = table.schema.get_field_index("occurred_at")
    times = table.column(place).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("ns", "Asia/Tokyo"))
    pq.write_table(table.set_column(place, "occurred_at", times), tmp_path / "typed.parquet")
    assert against(tmp_path / "typed.parquet").counts[Found.IDENTICAL] == EVENTS


def test_a_shifted_time_zone_is_told_by_the_time(tmp_path: Path, against: Against) -> None:
    """Local times that are written as if they were UTC."""
    rows = made_up()
    for row in rows:
        row["occurred_at"] = row["occurred_at"].replace("Z", "+02:00")
    result = against(write_rows(tmp_path, "parquet", rows))
    only(result, Found.OTHER_INPUT, EVENTS)
    assert list(differing(result)) == ["occurred_at"]
    example = result.examples[0]
    assert (example.field, example.stream_value, example.batch_value) == (
        "occurred_at",
        "2026-03-01T00:15:30.250000Z",
        "2026-02-28T22:15:30.250000Z",
    )


def test_a_shifted_hour_of_the_day_is_told_by_that_input(tmp_path: Path, against: Against) -> None:
    """What was derived from a local time differs in all events, and nothing else does."""
    rows = made_up()
    for row in rows:
        row["hour"] = (row["hour"] + 2) % 24
    result = against(write_rows(tmp_path, "csv", rows))
    only(result, Found.OTHER_INPUT, EVENTS)
    assert differing(result) == {
        "hour": FeatureParity(feature="hour", compared=EVENTS, mismatched=EVENTS, missing=0, extra=0)
    }
    assert result.explaining == []


def test_a_category_spelt_otherwise_is_told_and_explained(tmp_path: Path, against: Against) -> None:
    """All events of the category differ; what they have in common is the category."""
    rows = made_up()
    two_years = [row for row in rows if row["contract"] == "Two year"]
    for row in two_years:
        row["contract"] = "Two Year"
    result = against(write_rows(tmp_path, "csv", rows))
    only(result, Found.OTHER_INPUT, len(two_years))
    assert differing(result) == {
        "contract": FeatureParity(
            feature="contract", compared=EVENTS, mismatched=len(two_years), missing=0, extra=0
        )
    }
    example = result.examples[0]
    assert (example.stream_value, example.batch_value) == ("Two year", "Two Year")
    first = result.explaining[0]
    assert (first.found, first.feature, first.value, first.share) == (
        Found.OTHER_INPUT,
        "contract",
        "Two year",
        1.0,
    )


def test_a_column_that_went_through_float32_is_told(tmp_path: Path, against: Against) -> None:
    """Numbers that float32 holds are the same still."""
    table = pa.Table.from_pylist(made_up())
    place = table.schema.get_field_index("charges")
    rounded = table.column(place).cast(pa.float32())
    pq.write_table(table.set_column(place, "charges", rounded), tmp_path / "rows.parquet")
    other = sum(a != b for a, b in zip(rounded.to_pylist(), table.column(place).to_pylist(), strict=True))
    assert 0 < other < EVENTS
    result = against(tmp_path / "rows.parquet")
    only(result, Found.OTHER_INPUT, other)
    assert differing(result)["charges"].mismatched == other
    assert list(differing(result)) == ["charges"]


def test_a_dropped_row_is_told(tmp_path: Path, against: Against) -> None:
    """The event has no row to lay beside it."""
    rows = made_up()
    del rows[11]
    result = against(write_rows(tmp_path, "parquet", rows))
    only(result, Found.NO_ROW, 1)
    (example,) = result.examples
    assert example.detail == "no row has the event_id e-11"
    assert example.batch is None
    assert result.rows_without_event == 0
    assert sum(result.matrix[said]["not scored"] for said in ("true", "false")) == 1


def test_a_doubled_row_is_told(tmp_path: Path, against: Against) -> None:
    """Which of the two is the event's nobody knows."""
    rows = made_up()
    result = against(write_rows(tmp_path, "ndjson", [*rows, rows[11]]))
    only(result, Found.DUPLICATED, 1)
    assert result.examples[0].detail == "1 event and 2 rows have the event_id e-11"
    assert result.rows == EVENTS + 1


def test_a_row_without_an_event_is_counted_and_told(tmp_path: Path, against: Against) -> None:
    """It may be older than the topic: it speaks against no event."""
    rows = [*made_up(), {**made_up(1)[0], "event_id": "e-new"}, {**made_up(1)[0], "event_id": None}]
    result = against(write_rows(tmp_path, "csv", rows))
    assert result.counts[Found.IDENTICAL] == EVENTS
    assert (result.rows, result.rows_without_event) == (EVENTS + 2, 2)
    (note,) = result.notes
    assert note.startswith("2 of 402 rows of ")
    assert "have the event_id of no event" in note
    assert "rows.csv/400" in note


def test_a_line_of_which_nothing_can_be_read_is_no_row_of_any_event(tmp_path: Path, against: Against) -> None:
    """Its event has no row, and it has no event."""
    path = write_rows(tmp_path, "csv", made_up())
    lines = path.read_text("utf-8").splitlines()
    lines[6] += ",7"
    path.write_text("\n".join(lines), "utf-8")
    result = against(path)
    only(result, Found.NO_ROW, 1)
    assert (result.rows, result.rows_without_event) == (EVENTS, 1)
    assert "such as rows.csv/5." in result.notes[0]
    lines = [json.dumps(row) for row in made_up()]
    lines[5] = lines[5][:40]
    (tmp_path / "cut.ndjson").write_text("\n".join(lines), "utf-8")
    cut = against(tmp_path / "cut.ndjson")
    only(cut, Found.NO_ROW, 1)
    assert cut.rows_without_event == 1


def test_a_snapshot_of_a_topic_is_a_batch_side_like_others(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """Its rows are events, known by their positions there."""
    rows = made_up()
    rows[3]["contract"] = "two year"
    mirror = streamed([predictor], rows, topic="mirror")
    folder, schema = LocalFolder(tmp_path / "snapshot"), snapshot_schema(None)
    folder.create()
    with PartWriter(folder, "part", "parquet", lambda file: ParquetSink(file, schema)) as writer:
        for window in mirror.windows():
            writer.write(window.events.combine_chunks().to_batches()[0])
        writer.end_part(0)
    write_manifest(
        folder,
        Snapshot(
            topic="mirror",
            partitions=[PartitionRange(partition=0, start=0, end=mirror.end, rows=EVENTS)],
            model=None,
            rows=EVENTS,
            columns=Column.all_of(schema),
            parts=writer.parts,
            settings={},
            run=Run.of(datetime(2026, 1, 1, tzinfo=UTC), 1.0, EVENTS),
        ),
    )
    result = against(folder.path)
    only(result, Found.OTHER_INPUT, 1)
    (example,) = result.examples
    assert (example.stream_value, example.batch_value) == (made_up()[3]["contract"], "two year")
    assert example.batch is not None
    assert example.batch.position == f"mirror/0/{mirror.offsets[3]}"


def test_a_changed_threshold_is_told_as_other_decisions(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """Only events whose scores lie between both thresholds are decided otherwise."""
    made, changed = streamed([predictor], made_up()), 0
    for answer in made.answers:
        prediction = json.loads(answer["value"])
        if 0.5 < prediction["score"] <= 0.6:
            prediction["decision"] = False
            answer["value"] = json.dumps(prediction).encode()
            changed += 1
    assert changed
    result = against(write_rows(tmp_path, "csv", made_up()), made)
    only(result, Found.OTHER_DECISION, changed)
    assert differing(result) == {}
    assert result.matrix["false"]["true"] == changed
    example = result.examples[0]
    assert (example.stream[0].decision, example.batch and example.batch.decision) == (False, True)


def test_a_flipped_bit_of_a_score_is_told(tmp_path: Path, against: Against, predictor: Predictor) -> None:
    """The last bit of one score, and nothing else."""
    made = streamed([predictor], made_up())
    prediction = json.loads(made.answers[5]["value"])
    prediction["score"] = float(np.nextafter(prediction["score"], 1))
    made.answers[5]["value"] = json.dumps(prediction).encode()
    result = against(write_rows(tmp_path, "csv", made_up()), made)
    only(result, Found.OTHER_BITS, 1)
    (example,) = result.examples
    assert example.batch is not None
    assert example.stream[0].bits is not None
    assert example.batch.bits is not None
    assert int(example.stream[0].bits, 16) - int(example.batch.bits, 16) == 1


def test_values_that_one_side_lacks_are_counted_by_side(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """As the reports of online and offline features have it: missing online, and extra online."""
    rows = made_up()
    for row in rows[:5]:
        row["charges"] = None
    events = made_up()
    for event in events[10:13]:
        del event["partner"]
    result = against(write_rows(tmp_path, "csv", rows), streamed([predictor], events))
    only(result, Found.OTHER_INPUT, 8)
    assert differing(result) == {
        "charges": FeatureParity(feature="charges", compared=EVENTS - 3, mismatched=0, missing=0, extra=5),
        "partner": FeatureParity(feature="partner", compared=EVENTS - 5, mismatched=0, missing=3, extra=0),
    }


def test_what_both_reject_for_the_same_reason_agrees(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """A bad value stands in the table as in the event; bytes that hold no id are on the topic alone."""
    rows = made_up()
    rows[3]["charges"] = "many"
    made = streamed([predictor], [*rows, b"{broken", b'{"event_id": true}'])
    result = against(write_rows(tmp_path, "csv", rows), made)
    wrong = {found: count for found, count in result.counts.items() if count}
    assert wrong == {Found.IDENTICAL: EVENTS - 1, Found.REJECTED_ALIKE: 3}
    assert result.matrix["rejected"]["rejected"] == 1
    assert [note.split(" ")[0] for note in result.notes] == ["2"]
    assert differing(result) == {}


def test_an_event_rejected_on_one_side_is_told(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """The stream says that it could not score an event whose inputs are sound, and the row's are the same."""
    made = streamed([predictor], made_up())
    bad = streamed([predictor], [{**made_up()[4], "charges": "x"}]).answers[0]
    place = next(place for place, answer in enumerate(made.answers) if answer["offset"] == made.offsets[4])
    value = made.values[4]
    made.answers[place] = {**bad, "offset": made.offsets[4], "value": value}
    result = against(write_rows(tmp_path, "csv", made_up()), made)
    only(result, Found.REJECTED_ON_ONE, 1)
    assert result.examples[0].detail.startswith("the stream rejected the event as wrong_type, the batch path")
    assert result.examples[0].stream[0].position == f"dead-letters/0/{bad['at_offset']}"


def test_a_customer_of_two_events_is_told_when_joined_by_customer(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """Which of them the row is of nobody knows."""
    events = made_up()
    events[9]["customer_id"] = "c-8"
    result = against(write_rows(tmp_path, "csv", made_up()), streamed([predictor], events), on="customer_id")
    only(result, Found.DUPLICATED, 2)
    assert result.examples[0].detail == "2 events and 1 row have the customer_id c-8"
    assert result.rows_without_event == 1
    by_event = against(write_rows(tmp_path, "csv", made_up()), streamed([predictor], events))
    only(by_event, Found.OTHER_INPUT, 1)
    assert (by_event.examples[0].field, by_event.examples[0].batch_value) == ("customer_id", "c-9")


def test_a_lost_answer_stays_what_it_is_on_the_topic(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """Its row changes nothing; and an example of it is the topic's to give."""
    made = streamed([predictor], made_up())
    del made.answers[3]
    result = against(write_rows(tmp_path, "csv", made_up()), made)
    assert result.counts[Found.MISSING] == 1
    assert result.counts[Found.IDENTICAL] == EVENTS - 1
    assert (result.examples, result.rows_without_event) == ([], 0)
    assert result.matrix["none"]["not scored"] == 1


def test_what_is_wrong_on_the_topic_alone_stands_beside_a_row_that_agrees(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """A prediction that tells another threshold has the score and the decision that the row gets."""
    made = streamed([predictor], made_up())
    prediction = json.loads(made.answers[5]["value"])
    made.answers[5]["value"] = json.dumps(prediction | {"threshold": 0.4}).encode()
    result = against(write_rows(tmp_path, "csv", made_up()), made)
    assert result.counts[Found.OTHER_BITS] == 1
    assert result.counts[Found.IDENTICAL] == EVENTS - 1
    assert result.examples == []


def test_each_row_is_scored_by_the_model_that_answered_its_event(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """A second version half way changes nothing, as long as both are at hand."""
    folder = tmp_path / "second"
    golden = [row.event for row in predictor.model.declaration.golden]
    second = Predictor.load(
        linear_model(folder, inputs=INPUTS, weights=WEIGHTS, intercept=-0.5, golden=golden, version="3")
    )
    both = [predictor, second]
    result = against(write_rows(tmp_path, "csv", made_up()), streamed(both, made_up()), predictors=both)
    assert result.counts[Found.IDENTICAL] == EVENTS
    (note,) = result.notes
    assert note.startswith("2 models answered")
    assert "linear@3, the newest" in note


def test_a_row_of_a_model_with_other_inputs_is_scored_by_the_newest_and_that_is_said(
    tmp_path: Path, against: Against, predictor: Predictor
) -> None:
    """The rows are read once, by the inputs of one model."""
    golden = [row.event for row in predictor.model.declaration.golden]
    inputs = [entry if entry["name"] != "hour" else {**entry, "maximum": 24} for entry in INPUTS]
    second = Predictor.load(
        linear_model(tmp_path / "m", inputs=inputs, weights=WEIGHTS, golden=golden, version="3")
    )
    both = [predictor, second]
    result = against(write_rows(tmp_path, "csv", made_up()), streamed(both, made_up()), predictors=both)
    # They weigh alike, so that the scores agree.
    assert result.counts[Found.IDENTICAL] == EVENTS
    assert result.notes[1].startswith(f"{EVENTS // 2} rows were scored by linear@3, since")


def test_many_buckets_and_partitions_give_what_one_gives(
    tmp_path: Path, against: Against, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of an id meet its event wherever both are laid by."""
    rows = made_up()
    rows[1]["total"], rows[300]["partner"] = 3.5, None
    del rows[200]
    path = write_rows(tmp_path, "csv", [*rows, rows[17], rows[17]])
    events = made_up()
    parts = [
        streamed([predictor], events[first:end], partition=number, start=50)
        for number, (first, end) in enumerate(pairwise([0, 100, 250, 400]))
    ]
    whole = against(path, *parts)
    monkeypatch.setattr(buckets, "_ROWS_OF_BUCKET", 30)
    monkeypatch.setattr(buckets, "_WAITING_ROWS", 64)
    assert against(path, *parts) == whole
    assert whole.counts[Found.OTHER_INPUT] == 2
    assert whole.counts[Found.NO_ROW] == whole.counts[Found.DUPLICATED] == 1
    assert [example.position for example in whole.examples] == [
        "customers/0/67",
        "customers/1/151",
        "customers/0/51",
        "customers/2/100",
    ]


def test_events_that_are_not_in_the_sample_are_laid_beside_no_row(tmp_path: Path, against: Against) -> None:
    """They have rows all the same."""
    result = against(write_rows(tmp_path, "csv", made_up()), sample=0.5)
    assert 100 < result.counts[Found.NOT_SAMPLED] < 300
    assert result.counts[Found.NOT_SAMPLED] + result.counts[Found.IDENTICAL] == EVENTS
    assert result.rows_without_event == 0
    none = against(write_rows(tmp_path, "csv", [{**row, "event_id": None} for row in made_up()]), sample=0.5)
    assert none.counts[Found.NOT_SAMPLED] == result.counts[Found.NOT_SAMPLED]
    assert none.counts[Found.NO_ROW] == result.counts[Found.IDENTICAL]


def test_what_was_laid_by_whole_need_not_be_laid_by_again(tmp_path: Path, predictor: Predictor) -> None:
    """A partition counts once all of it is there; a file that was cut short since does not."""
    models = Models([predictor.model])
    rows = write_rows(tmp_path, "csv", made_up())
    options: Mapping[str, Any] = {"models": models, "topics": TOPICS, "events": EVENTS, "examples": 3}
    side = AgainstRows(BatchSide(str(rows)), folder=tmp_path / "work", **options)
    assert not side.laid(0)
    lay_by(side, models, streamed([predictor], made_up()))
    assert side.laid(0)
    again = AgainstRows(BatchSide(str(rows)), folder=tmp_path / "work", **options)
    assert again.laid(0)
    with Meter() as meter:
        assert again.result([0], meter, 0.5).counts[Found.IDENTICAL] == EVENTS
    (bucket,) = (tmp_path / "work" / "events" / "0").glob("*.arrows")
    bucket.write_bytes(bucket.read_bytes()[:-9])
    assert not again.laid(0)
    with Meter() as meter, pytest.raises(InputError, match="is damaged"):
        again.result([0], meter, 0.5)


def test_a_full_disk_is_said_in_a_sentence(
    tmp_path: Path, against: Against, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the file, and what to do."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = write_rows(tmp_path, "csv", made_up())
    monkeypatch.setattr(durable, "write", full)
    with pytest.raises(InputError, match=r"0000\.arrows: cannot be written: No space left.*\nMake room"):
        against(path)


def test_the_digest_is_that_of_the_rows(tmp_path: Path, against: Against) -> None:
    """Another proof of the same file gives it again; a changed row gives another."""
    rows = made_up()
    first = against(write_rows(tmp_path, "csv", rows)).digest
    assert against(write_rows(tmp_path, "csv", rows)).digest == first
    rows[0]["total"] = 1.5
    assert against(write_rows(tmp_path, "csv", rows)).digest != first


def test_rows_that_cannot_be_joined_are_refused(tmp_path: Path, against: Against) -> None:
    """A table without the column says so before anything is read of the topic; so does a database."""
    rows = [{name: value for name, value in row.items() if name != "event_id"} for row in made_up(3)]
    with pytest.raises(InputError, match="the column 'event_id' is missing"):
        against(write_rows(tmp_path, "csv", rows))
    with pytest.raises(InputError, match="there is no such file"):
        against(tmp_path / "nowhere.csv")
    with pytest.raises(ConfigurationError, match="rows of a database"):
        against("postgresql://shop/db")
