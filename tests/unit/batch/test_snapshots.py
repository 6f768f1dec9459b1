"""A snapshot scored by columns gives what its events' bytes give, ids and reasons included."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.export import record_batch
from batch.folder import LocalFolder
from batch.manifest import (
    Column,
    Counts,
    ModelUsed,
    PartitionRange,
    Run,
    Snapshot,
    read_manifest,
    write_manifest,
)
from batch.sinks import ParquetSink
from batch.snapshots import INPUTS, SnapshotRows, snapshot_schema, sources_of_snapshot
from batch.writers import PartWriter
from shared.errors import ExitCode, InputError
from shared.kafka.columns import RecordColumns
from shared.predict import Predictor
from tests.support.models import INPUTS as LINEAR_INPUTS
from tests.support.models import change_model, linear_model
from tests.support.tables import manifest_of, rejected, scored

TIME = 1_700_000_000_000
VALUES: list[bytes | None] = [
    b'{"customer_id": 1, "tenure": 3, "charges": 70.35, "partner": true, "contract": "monthly"}',
    b'{"customer_id": "1", "tenure": 4, "partner": false, "contract": "\xc3\xa9", "event_id": "7"}',
    b'{"customer_id": "b", "tenure": 5.0, "partner": false, "contract": "yearly", "event_id": 7}',
    b'{"customer_id": 2, "tenure": 5.5, "partner": false, "contract": "yearly"}',
    b"not json",
    None,
    b'{"customer_id": 3, "tenure": 6, "partner": true, "contract": "weekly", "event_id": "e"}',
    b'{"customer_id": 4, "tenure": 7, "charges": -0.0, "partner": true, "contract": "monthly"}',
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("models") / "linear")


def columns_of(values: list[bytes | None], partition: int = 0, start: int = 0) -> RecordColumns:
    """Records with gaps between their offsets, as transactions leave them."""
    offsets = [start + 3 * row for row in range(len(values))]
    keys: list[bytes | None] = [b"k", None] * (len(values) // 2 + 1)
    times = [TIME + row for row in range(len(values))]
    return RecordColumns("customers", partition, offsets, times, keys[: len(values)], list(values))


def write_snapshot(folder: Path, model: Path | None, *, values: list[bytes | None] = VALUES) -> Path:
    """A snapshot of a topic of two partitions, as export writes it."""
    predictor = None if model is None else Predictor.load(model)
    schema = snapshot_schema(None if predictor is None else predictor.model.schema)
    LocalFolder(folder).create()
    with PartWriter(
        LocalFolder(folder), "part", "parquet", lambda file: ParquetSink(file, schema), 5
    ) as writer:
        for partition in (0, 1):
            writer.write(record_batch(columns_of(values, partition), schema, predictor))
            writer.end_part(partition)
    end = 3 * len(values)
    manifest = Snapshot(
        topic="customers",
        partitions=[
            PartitionRange(partition=partition, start=0, end=end, rows=len(values)) for partition in (0, 1)
        ],
        model=None if predictor is None else ModelUsed.of(predictor.model),
        rows=2 * len(values),
        columns=Column.all_of(schema),
        parts=writer.parts,
        settings={},
        run=Run(started="", finished="", seconds=0, rows_per_second=0),
    )
    write_manifest(LocalFolder(folder), manifest)
    return folder


def test_a_snapshot_keeps_records_as_they_are(tmp_path: Path, model: Path) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model)
    table = pa.concat_tables(
        [pq.read_table(folder / f"part-{number:05d}.parquet") for number in range(4)],
        promote_options="default",
    )
    assert table.column("value").to_pylist() == VALUES * 2
    assert table.column("key").to_pylist() == [b"k", None] * len(VALUES)
    assert table.column("partition").to_pylist() == [0] * 8 + [1] * 8
    assert table.column("offset").to_pylist()[:3] == [0, 3, 6]
    assert table.schema.field("timestamp").type == pa.timestamp("ms", "UTC")
    assert set(table.column("topic").to_pylist()) == {"customers"}


def test_a_snapshot_keeps_the_headers_of_records_that_have_any() -> None:
    """Names may repeat or be no UTF-8, and a value may be missing."""
    columns = columns_of([b"a", b"b", b"c"])
    columns.headers = {2: [("trace", b"\xff"), ("trace", None)], 0: [("on\udcffly", b"")]}
    batch = record_batch(columns, snapshot_schema(None), None)
    assert batch.column("headers").to_pylist() == [
        [{"name": "on\ufffdly", "value": b""}],
        None,
        [{"name": "trace", "value": b"\xff"}, {"name": "trace", "value": None}],
    ]
    assert record_batch(columns_of([b"a"]), snapshot_schema(None), None).column("headers").null_count == 1


def test_a_snapshot_of_an_earlier_version_without_headers_is_scored(tmp_path: Path, model: Path) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model)
    now = tmp_path / "now"
    assert main(["score", str(folder), "--model", str(model), "--output", str(now)]) == ExitCode.DONE
    manifest = read_manifest(folder)
    parts = []
    for part in manifest.parts:
        file = folder / part.file
        pq.write_table(pq.read_table(file).drop_columns(["headers"]), file)
        changes = {"size": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        parts.append(part.model_copy(update=changes))
    write_manifest(LocalFolder(folder), manifest.model_copy(update={"parts": parts}))
    before = tmp_path / "before"
    assert main(["score", str(folder), "--model", str(model), "--output", str(before)]) == ExitCode.DONE
    assert scored(before) == scored(now)


def test_parsed_inputs_are_typed_and_null_for_a_rejected_event(tmp_path: Path, model: Path) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model)
    rows = [
        row
        for number in (0, 1)
        for row in pq.read_table(folder / f"part-{number:05d}.parquet").column(INPUTS).to_pylist()
    ]
    assert [row is None for row in rows] == [False, False, False, True, True, True, True, False]
    assert rows[2] == {
        "customer_id": "b",
        "customer_id is an integer": False,
        "event_id": "7",
        "event_id is an integer": True,
        "tenure": 5,
        "charges": 20.5,
        "partner": False,
        "contract": "yearly",
    }


@pytest.mark.parametrize("output_format", ["parquet", "ndjson"])
def test_a_snapshot_scores_alike_with_and_without_parsed_inputs(
    tmp_path: Path, model: Path, output_format: str
) -> None:
    outputs = []
    for name, parsed_for in (("parsed", model), ("plain", None)):
        folder = write_snapshot(tmp_path / name, parsed_for)
        output = tmp_path / f"{name}-scored"
        arguments = ["--model", str(model), "--output", str(output), "--format", output_format]
        assert main(["score", str(folder), *arguments]) == ExitCode.DONE
        outputs.append(output)
    parsed, plain = outputs
    assert (parsed / f"part-00000-0000.{output_format}").read_bytes() == (
        plain / f"part-00000-0000.{output_format}"
    ).read_bytes()
    assert (parsed / f"rejected-00000-0000.{output_format}").read_bytes() == (
        plain / f"rejected-00000-0000.{output_format}"
    ).read_bytes()
    assert [row["prediction_id"] for row in scored(parsed)] == [
        f"customers/{partition}/{offset}" for partition in (0, 1) for offset in (0, 3, 6, 21)
    ]
    assert rejected(parsed) == {
        f"customers/{partition}/{3 * row}": reason
        for partition in (0, 1)
        for row, reason in ((3, "wrong_type"), (4, "not_json"), (5, "tombstone"), (6, "unknown_category"))
    }
    manifest = manifest_of(parsed)
    assert manifest.ledger["customers/1"] == Counts(
        read=8,
        scored=4,
        rejected={"not_json": 1, "tombstone": 1, "unknown_category": 1, "wrong_type": 1},
    )


def test_inputs_parsed_for_another_declaration_are_not_used(tmp_path: Path, model: Path) -> None:
    """A default that one model fills in is a missing field to another."""
    inputs = [{name: value for name, value in item.items() if name != "default"} for item in LINEAR_INPUTS]
    without_default = linear_model(tmp_path / "other", inputs=inputs, golden=[json.loads(VALUES[0] or b"")])
    folder = write_snapshot(tmp_path / "snapshot", model)
    arguments = ["--model", str(without_default), "--output", str(tmp_path / "out")]
    assert main(["score", str(folder), *arguments]) == ExitCode.DONE
    assert rejected(tmp_path / "out")["customers/0/3"] == "missing_field"


def test_a_new_version_with_the_same_inputs_uses_them(tmp_path: Path, model: Path) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model)
    newer = linear_model(tmp_path / "newer", version="3")
    change_model(newer, threshold=0.1)
    for source in sources_of_snapshot(folder, Predictor.load(newer), 100):
        assert isinstance(source, SnapshotRows)
        assert source.parsed_for is not None


def test_a_changed_part_is_refused(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model)
    other = write_snapshot(tmp_path / "other", model, values=[*VALUES[:-1], None])
    content = (folder / "part-00000.parquet").read_bytes()
    (folder / "part-00000.parquet").write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    arguments = ["--model", str(model), "--output", str(tmp_path / "out")]
    assert main(["score", str(folder), *arguments]) == ExitCode.UNREADABLE
    (other / "part-00003.parquet").unlink()
    with pytest.raises(InputError, match="missing or has another length"):
        sources_of_snapshot(other, Predictor.load(model), 100)
    capsys.readouterr()


def test_two_snapshots_of_one_topic_are_refused(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same event could be in both, and would be scored twice under one id."""
    one, two = (write_snapshot(tmp_path / name, model) for name in ("one", "two"))
    arguments = ["--model", str(model), "--output", str(tmp_path / "out")]
    assert main(["score", str(one), str(two), *arguments]) == ExitCode.UNREADABLE
    assert "customers/0: another input holds rows of this name too" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["deliver", "SNAPSHOT", "--output", "sqlite:///x.db", "--output-table", "t"],
        ["compare", "SNAPSHOT", "SNAPSHOT"],
        ["retry", "SNAPSHOT", "fixed.csv"],
        ["score", "SNAPSHOT", "--model", "MODEL", "--output", "SNAPSHOT", "--resume"],
    ],
    ids=lambda given: given[0],
)
def test_a_snapshot_where_predictions_are_wanted_is_refused_with_one_sentence(
    tmp_path: Path, model: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model)
    names = {"SNAPSHOT": str(folder), "MODEL": str(model)}
    assert main([names.get(text, text) for text in arguments]) == ExitCode.UNREADABLE
    assert f"{folder}: it holds a snapshot, not predictions" in capsys.readouterr().err


@pytest.mark.parametrize("parsed", [True, False])
def test_rows_and_fields_of_a_snapshot_are_selected_by_their_events(
    tmp_path: Path, model: Path, *, parsed: bool
) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model if parsed else None)
    options = ["--where", "tenure < 5.5 and partner = false", "--columns", "contract,tenure", "--limit", "7"]
    output = tmp_path / "out"
    assert main(["score", str(folder), "--model", str(model), "--output", str(output), *options]) == 0
    found = [(row["prediction_id"], row["contract"], row["tenure"]) for row in scored(output)]
    rows = [("3", "é", 4), ("6", "yearly", 5)]
    assert found == [
        (f"customers/{partition}/{offset}", *row) for partition in (0, 1) for offset, *row in rows
    ]
    # What is no event cannot be asked: it is rejected as ever, and takes its place under the limit.
    assert rejected(output) == {
        "customers/0/12": "not_json",
        "customers/0/15": "tombstone",
        "customers/1/12": "not_json",
    }


def test_a_sample_of_a_topic_is_the_same_in_snapshots_cut_otherwise(tmp_path: Path, model: Path) -> None:
    found = []
    for name, values in (("one", VALUES), ("two", [*VALUES, *VALUES])):
        folder = write_snapshot(tmp_path / name, model, values=values)
        arguments = ["score", str(folder), "--model", str(model), "--output", str(tmp_path / f"{name}-out")]
        assert main([*arguments, "--sample", "0.5", "--seed", "3"]) == ExitCode.DONE
        ids = {row["prediction_id"] for row in scored(tmp_path / f"{name}-out")}
        found.append({one for one in ids if int(one.rpartition("/")[2]) < 3 * len(VALUES)})
    assert found[0] == found[1] != set()
    assert len(found[0]) < 8


def test_a_snapshot_s_events_are_not_renamed(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_snapshot(tmp_path / "snapshot", model)
    arguments = ["score", str(folder), "--model", str(model), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--map", "tenure=months"]) == ExitCode.USAGE
    assert "--map cannot rename the fields of JSON events" in capsys.readouterr().err
