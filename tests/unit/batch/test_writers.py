"""Parts have fixed sizes, whatever the batches that they were written in."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.folder import LocalFolder
from batch.manifest import PartFile
from batch.outputs import OUTPUT_FORMATS, OutputFormat
from batch.sinks import ParquetSink
from batch.writers import PartWriter
from shared.predict import Outcome, Predictor
from tests.support.models import linear_model

SCHEMA = pa.schema([pa.field("number", pa.int64())])


def write_parts(path: Path, batches: list[int], part_rows: int) -> list[PartFile]:
    """Parts of rows 0, 1, 2, ... that are written in batches of the given sizes."""
    first = 0
    with PartWriter(
        LocalFolder(path), "part", "parquet", lambda file: ParquetSink(file, SCHEMA), part_rows
    ) as writer:
        for rows in batches:
            writer.write(pa.record_batch([pa.array(range(first, first + rows), pa.int64())], schema=SCHEMA))
            first += rows
    return writer.parts


@settings(deadline=None)
@given(batches=st.lists(st.integers(0, 12), max_size=8), part_rows=st.integers(1, 9))
def test_the_same_rows_give_the_same_bytes_in_any_batches(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int], part_rows: int
) -> None:
    one_by_one, at_once, as_given = (tmp_path_factory.mktemp("parts") for _ in range(3))
    total = sum(batches)
    parts = write_parts(as_given, batches, part_rows)
    assert parts == write_parts(one_by_one, [1] * total, part_rows)
    assert parts == write_parts(at_once, [total], part_rows)
    assert [part.rows for part in parts] == [
        min(part_rows, total - start) for start in range(0, total, part_rows)
    ]
    numbers = [row for part in parts for row in pq.read_table(as_given / part.file).column(0).to_pylist()]
    assert numbers == list(range(total))


def test_a_run_that_fails_leaves_only_whole_parts(tmp_path: Path) -> None:
    writer = PartWriter(LocalFolder(tmp_path), "part", "parquet", lambda file: ParquetSink(file, SCHEMA), 4)
    with pytest.raises(pa.ArrowInvalid), writer:  # noqa: PT012 - the writer must see the error
        for rows in (range(3), range(3), range(3), ["no number"]):
            writer.write(pa.record_batch([pa.array(rows, pa.int64())], schema=SCHEMA))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["part-00000.parquet", "part-00001.parquet"]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(linear_model(tmp_path_factory.mktemp("model") / "linear"))


def outcome_of(scores: list[float]) -> Outcome:
    """An outcome with these scores, and with ids that need care in text."""
    count = len(scores)
    ids = [7, 'say "no"', "a,b", "line\nbreak", "é", ""]
    values = np.array(scores, np.float64)
    return Outcome(
        count,
        np.arange(count),
        [ids[row % len(ids)] for row in range(count)],
        [None if row % 2 else "e1" for row in range(count)],
        values,
        values > 0.5,
        (),
    )


def written(predictor: Predictor, form: type[OutputFormat], path: Path, scores: list[float]) -> Path:
    """A part with an outcome of these scores."""
    made = form(predictor.model)
    ids = pa.array([f"a.csv/{row}" for row in range(len(scores))])
    with PartWriter(
        LocalFolder(path), "part", made.name, lambda file: made.open(file, made.schema), 1000
    ) as writer:
        writer.write(made.predictions(outcome_of(scores), ids))
    return path / writer.parts[0].file


AWKWARD = [0.1, 1e-5, 5e-324, 1e22, 1.0, 0.30000000000000004, 1.7976931348623157e308, 2.2250738585072014e-308]


@settings(deadline=None)
@given(more=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_numbers_read_back_to_the_same_bits(
    predictor: Predictor, tmp_path_factory: pytest.TempPathFactory, more: list[float]
) -> None:
    scores = AWKWARD + more
    bits = np.array(scores).view(np.int64).tolist()
    for form in OUTPUT_FORMATS.values():
        path = written(predictor, form, tmp_path_factory.mktemp("out"), scores)
        if path.suffix == ".ndjson":
            read = [json.loads(line)["score"] for line in path.read_bytes().splitlines()]
        elif path.suffix == ".csv":
            options = arrow_csv.ParseOptions(newlines_in_values=True)
            read = arrow_csv.read_csv(path, parse_options=options).column("score").to_pylist()
        elif path.suffix == ".arrow":
            read = pa.ipc.open_file(path).read_all().column("score").to_pylist()
        else:
            read = pq.read_table(path).column("score").to_pylist()
        assert np.array(read, np.float64).view(np.int64).tolist() == bits


def test_ndjson_has_the_very_bytes_of_the_stream(predictor: Predictor, tmp_path: Path) -> None:
    path = written(predictor, OUTPUT_FORMATS["ndjson"], tmp_path, [0.25, 0.75])
    end = f'"threshold":0.5,"model":"linear@2","model_sha256":"{predictor.model.short_sha256}"}}'
    assert path.read_text(encoding="utf-8").splitlines() == [
        '{"prediction_id":"a.csv/0","customer_id":7,"event_id":"e1","score":0.25,"decision":false,' + end,
        '{"prediction_id":"a.csv/1","customer_id":"say \\"no\\"","score":0.75,"decision":true,' + end,
    ]


def test_csv_is_plain(predictor: Predictor, tmp_path: Path) -> None:
    path = written(predictor, OUTPUT_FORMATS["csv"], tmp_path, [0.25, 0.75])
    header, first, second = path.read_text(encoding="utf-8").splitlines()
    assert header.replace('"', "") == (
        "prediction_id,customer_id,event_id,score,decision,threshold,model,model_sha256"
    )
    assert first.startswith('"a.csv/0","7","e1",0.25,false,0.5,"linear@2",')
    assert second.startswith('"a.csv/1","say ""no""",,0.75,true,0.5,"linear@2",')
