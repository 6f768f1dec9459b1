"""Recorded events become the histories of customers, wherever they come from."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.advice import recording
from batch.advice.recording import Recorded, hashes_of, position_key, record
from batch.inputs import sources_of
from batch.sources import Reading
from shared.errors import InputError
from shared.kafka.columns import RecordColumns
from shared.predict import Predictor
from shared.progress import Meter
from tests.support.evidence import TIME, write_snapshot
from tests.support.models import threshold_model

DAY = "2026-03-02T10:00:00Z"
DAY_MS = int(datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp() * 1_000)

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(threshold_model(tmp_path_factory.mktemp("models") / "threshold"))


def recorded(predictor: Predictor, *paths: Path, share: float = 1.0, positions: bool = False) -> Recorded:
    sources = sources_of([str(path) for path in paths], predictor, Reading(batch_rows=7))
    with Meter("events") as meter:
        return record(sources, predictor, meter, share, positions=positions)


def histories(found: Recorded) -> list[list[tuple[int, bool]]]:
    """The time and decision of each event of each customer; the customers sorted by that."""
    history = found.history
    ends = [*history.starts[1:].tolist(), len(history.times)]
    pairs = list(zip(history.times.tolist(), history.decisions.tolist(), strict=True))
    return sorted(pairs[start:end] for start, end in zip(history.starts.tolist(), ends, strict=True))


def event(customer: int | str, feature: float, **more: Any) -> dict[str, Any]:
    return {"customer_id": customer, "feature": feature, **more}


def lines(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_ndjson(folder: Path, rows: Rows) -> Path:
    return lines(folder / "events.ndjson", rows)


def write_csv(folder: Path, rows: Rows) -> Path:
    path = folder / "events.csv"
    text = "".join(f"{row['customer_id']},{row['feature']},{row.get('occurred_at', '')}\n" for row in rows)
    path.write_text(f"customer_id,feature,occurred_at\n{text}")
    return path


def write_parquet(folder: Path, rows: Rows, unit: str = "ns") -> Path:
    path = folder / "events.parquet"
    times = [datetime.fromisoformat(row["occurred_at"]) if "occurred_at" in row else None for row in rows]
    columns = {
        "customer_id": pa.array([row["customer_id"] for row in rows]),
        "feature": pa.array([row["feature"] for row in rows]),
        "occurred_at": pa.array(times, pa.timestamp(unit, "UTC")),
    }
    pq.write_table(pa.table(columns), path)
    return path


def snapshot_of(folder: Path, rows: Rows, partition: int = 0) -> Path:
    values: list[bytes | None] = [json.dumps(row).encode() for row in rows]
    offsets = [10 * place for place in range(len(rows))]
    times = [TIME + place for place in range(len(rows))]
    columns = RecordColumns("customers", partition, offsets, times, [None] * len(rows), values)
    return write_snapshot(folder / "snapshot", "customers", [columns])


ROWS = [
    event(1, 0.9, occurred_at="2026-03-02T12:00:00+02:00"),
    event(2, 0.1, occurred_at="2026-03-02T10:00:05.5Z"),
    event(1, 0.2, occurred_at="2026-03-02T10:00:01Z"),
]
FOUND = [[(DAY_MS, True), (DAY_MS + 1_000, False)], [(DAY_MS + 5_500, False)]]


@pytest.mark.parametrize("write", [write_ndjson, write_csv, write_parquet])
def test_files_of_every_kind_give_the_same_histories(
    write: Any, tmp_path: Path, predictor: Predictor
) -> None:
    assert histories(recorded(predictor, write(tmp_path, ROWS))) == FOUND


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_column_of_timestamps_is_read_in_any_unit(unit: str, tmp_path: Path, predictor: Predictor) -> None:
    path = write_parquet(tmp_path, [event(1, 0.9, occurred_at="2026-03-02T10:00:00+00:00")], unit)
    assert histories(recorded(predictor, path)) == [[(DAY_MS, True)]]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("2026-03-02t10:00:00.25z", 250),
        ("2026-03-02 15:30:00+0530", 0),
        ("2026-03-02T10:00:59.123456789Z", 59_123),
        ("2026-03-02T10:00:60Z", 59_000),
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str, after: int, tmp_path: Path, predictor: Predictor) -> None:
    path = write_ndjson(tmp_path, [event(1, 0.9, occurred_at=text), event(1, 0.9, occurred_at=DAY)])
    assert {moment for moment, _ in histories(recorded(predictor, path))[0]} == {DAY_MS, DAY_MS + after}


def test_a_record_s_timestamp_counts_only_where_the_event_has_no_time(
    tmp_path: Path, predictor: Predictor
) -> None:
    rows = [event(1, 0.9), event(1, 0.1, occurred_at=DAY), event(1, 0.7, occurred_at=None)]
    found = recorded(predictor, snapshot_of(tmp_path, rows))
    assert histories(found) == [[(TIME, True), (TIME + 2, True), (DAY_MS, False)]]


def test_events_of_one_moment_stay_in_the_order_in_which_they_came(
    tmp_path: Path, predictor: Predictor
) -> None:
    rows = [event(1, feature, occurred_at=DAY) for feature in (0.9, 0.1, 0.9, 0.9, 0.1)] * 5
    found = histories(recorded(predictor, write_ndjson(tmp_path, rows)))
    assert [decision for _, decision in found[0]] == [True, False, True, True, False] * 5


def test_rejected_events_and_those_without_a_time_are_counted_and_left_out(
    tmp_path: Path, predictor: Predictor
) -> None:
    rows = [*ROWS, event(3, 0.9), {"customer_id": 4}]
    found = recorded(predictor, write_ndjson(tmp_path, rows))
    assert histories(found) == FOUND
    assert (found.read, found.rejected, found.timeless) == (5, 1, 1)


@pytest.mark.parametrize("enough", [1, 1_000])
def test_a_source_that_never_says_when_is_refused_by_name(
    enough: int, tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_ENOUGH", enough)
    with pytest.raises(InputError, match=r"events\.ndjson: nothing says of any event when it happened"):
        recorded(predictor, write_ndjson(tmp_path, [event(1, 0.9)] * 20))


def test_events_far_from_all_others_in_time_are_counted_and_left_out(
    tmp_path: Path, predictor: Predictor
) -> None:
    rows = [event(1, 0.9, occurred_at=f"2026-03-{place % 28 + 1:02}T00:00:00Z") for place in range(400)]
    far = [event(1, 0.9, occurred_at=text) for text in ("1970-01-01T00:00:00Z", "2062-03-02T00:00:00Z")]
    near = [event(1, 0.9, occurred_at=text) for text in ("2026-02-10T00:00:00Z", "2026-04-20T00:00:00Z")]
    found = recorded(predictor, write_ndjson(tmp_path, [*rows, *far, *near]))
    assert (len(found.history.times), found.strays) == (402, 2)
    first, last = (
        datetime.fromtimestamp(ms / 1_000, UTC) for ms in (found.history.first, found.history.last)
    )
    assert (f"{first:%m-%d}", f"{last:%m-%d}") == ("02-10", "04-20")


def test_events_that_come_within_a_day_of_a_burst_are_no_strays(tmp_path: Path, predictor: Predictor) -> None:
    burst = [event(1, 0.9, occurred_at=DAY)] * 500
    later = event(1, 0.9, occurred_at="2026-03-03T09:00:00Z")
    assert not recorded(predictor, write_ndjson(tmp_path, [*burst, later])).strays


def test_times_at_the_ends_of_the_calendar_are_strays(tmp_path: Path, predictor: Predictor) -> None:
    ends = [event(1, 0.9, occurred_at=text) for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")]
    days = [event(1, 0.9, occurred_at=DAY)] * 3
    found = recorded(predictor, write_ndjson(tmp_path, [*ends, *days]))
    assert (found.history.times.tolist(), found.strays) == ([DAY_MS] * 3, 2)
    with pytest.raises(InputError, match="all 2 events lie at the ends of the calendar"):
        recorded(predictor, write_ndjson(tmp_path, ends))


def test_timestamps_that_are_no_milliseconds_are_told_of(tmp_path: Path, predictor: Predictor) -> None:
    values: list[bytes | None] = [json.dumps(event(1, 0.9)).encode()] * 2
    times = [TIME * 1_000, TIME * 1_000 + 1]
    columns = RecordColumns("customers", 0, [0, 1], times, [None] * 2, values)
    with pytest.raises(InputError, match="outside it") as refused:
        recorded(predictor, write_snapshot(tmp_path / "events", "customers", [columns]))
    assert "milliseconds since 1970" in str(refused.value.hint)


def test_nothing_to_look_at_is_told_apart(tmp_path: Path, predictor: Predictor) -> None:
    with pytest.raises(InputError, match="there are no events"):
        recorded(predictor, write_ndjson(tmp_path, []))
    with pytest.raises(InputError, match="all 1 events are rejected by threshold@1, the first because"):
        recorded(predictor, write_ndjson(tmp_path, [{"customer_id": 4}]))
    with pytest.raises(InputError, match="no customer is in the sample"):
        recorded(predictor, write_ndjson(tmp_path, ROWS), share=1e-9)


def test_a_sample_holds_whole_histories(tmp_path: Path, predictor: Predictor) -> None:
    rows = [event(place % 100, place % 7 / 7, occurred_at=DAY) for place in range(1_000)]
    path = write_ndjson(tmp_path, rows)
    found = recorded(predictor, path, share=0.3)
    kept = histories(found)
    assert 15 <= len(kept) <= 45
    assert {len(one) for one in kept} == {10}
    # Those of all events that cost something, whoever was drawn.
    assert found.read == 1_000


def test_a_customer_is_the_same_however_his_id_was_read() -> None:
    ids = ["7", "é", "7", ""]
    assert hashes_of(ids).tolist() == hashes_of(pa.array(ids)).tolist()
    numbers = [7, -1, 7]
    assert hashes_of(numbers).tolist() == hashes_of(pa.array(numbers)).tolist()
    assert len({*hashes_of(ids).tolist(), *hashes_of(numbers).tolist()}) == 5


def test_positions_and_timestamps_are_kept_where_they_are_asked_for(
    tmp_path: Path, predictor: Predictor
) -> None:
    path = snapshot_of(tmp_path, [event(1, 0.9), {"customer_id": 1}, event(2, 0.9, occurred_at=DAY)], 3)
    found = recorded(predictor, path, positions=True)
    assert found.positions.tolist() == position_key(3, np.array([0, 20])).tolist()
    assert found.stamped.tolist() == [TIME, TIME + 2]
    assert not len(recorded(predictor, path).positions)


def test_what_is_kept_to_measure_with_is_bounded(
    tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "SAMPLED", 10)
    found = recorded(predictor, write_ndjson(tmp_path, ROWS * 10))
    assert list(_rows(found)) == [7, 3]


def _rows(found: Recorded) -> Iterator[int]:
    return (len(piece.chunk.rows) for piece in found.sample)
