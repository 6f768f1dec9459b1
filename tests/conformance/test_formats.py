"""Every input format and every output format, with every kind of model: the same bits, the same reasons.

A format that is added to a table is tested unasked; until the tests know how to write or read it, one of
them fails.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.compare import CompareSettings, compare
from batch.outputs import OUTPUT_FORMATS
from producer.rows import FileRows
from shared.errors import ExitCode
from shared.files import FORMATS
from shared.models.directory import KINDS
from shared.predict import Predictor
from tests.support.models import linear_model, threshold_model
from tests.support.tables import ENCODERS, Rows, rejected, scored, write_rows
from tests.support.trained import lightgbm_model, onnx_model, xgboost_model

INPUT_FORMATS = [form.name for form in FORMATS]
SUFFIXES = [suffix.removeprefix(".") for form in FORMATS for suffix in form.suffixes]
GOOD = {"customer_id": 1, "tenure": 3, "charges": 70.35, "partner": True, "contract": "monthly"}

LINEAR_ROWS: Rows = [
    GOOD,
    GOOD | {"tenure": 0, "charges": 0.1, "partner": False, "contract": "é", "event_id": "e1"},
    GOOD | {"charges": None},
    GOOD | {"tenure": None},
    GOOD | {"tenure": 1201},
    GOOD | {"contract": "weekly"},
    GOOD | {"customer_id": None},
    GOOD | {"contract": None, "partner": None},
    GOOD | {"customer_id": 2**53, "charges": 1e-300},
]
THRESHOLD_ROWS: Rows = [
    *(
        {"customer_id": n, "feature": feature}
        for n, feature in enumerate([0.2, 0.6, 0.6000000000000001, -0.0, 1e300])
    ),
    {"customer_id": 7, "feature": None},
    {"customer_id": None, "feature": 0.1},
]
MAYBE = {"customer_id": 1, "tenure": 3, "charges": 70.35, "partner": True, "contract": "é", "payment": "card"}
TRAINED_ROWS: Rows = [
    MAYBE,
    MAYBE | {"tenure": 0, "charges": 0.1, "partner": False, "contract": "yearly", "event_id": "e1"},
    MAYBE | {"charges": None},
    MAYBE | {"contract": None},
    MAYBE | {"charges": None, "contract": None, "payment": "check"},
    MAYBE | {"payment": "cheque"},
    MAYBE | {"payment": None},
    MAYBE | {"partner": None},
    MAYBE | {"tenure": 1201},
]
#: A small model of every kind, and rows for it; a kind of KINDS that is missing here fails a test.
MODELS: dict[str, tuple[Callable[[Path], Path], Rows]] = {
    "threshold": (threshold_model, THRESHOLD_ROWS),
    "linear": (linear_model, LINEAR_ROWS),
    "xgboost": (xgboost_model, TRAINED_ROWS),
    "lightgbm": (lightgbm_model, TRAINED_ROWS),
    "onnx": (onnx_model, TRAINED_ROWS),
}


def test_every_format_and_kind_is_covered() -> None:
    assert {*INPUT_FORMATS, *SUFFIXES} <= set(ENCODERS)
    assert set(KINDS) <= set(MODELS)


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
@pytest.mark.parametrize("input_format", INPUT_FORMATS)
@pytest.mark.parametrize("kind", MODELS)
def test_a_format_changes_no_bit_and_no_reason(
    tmp_path: Path, kind: str, input_format: str, output_format: str
) -> None:
    make_model, rows = MODELS[kind]
    model = make_model(tmp_path / "model")
    path = write_rows(tmp_path, input_format, rows)
    arguments = ["--model", str(model), "--output", str(tmp_path / "out"), "--format", output_format]
    assert main(["score", str(path), *arguments]) == ExitCode.DONE

    events = write_rows(tmp_path / "events", "ndjson", rows).read_bytes().splitlines()
    expected = Predictor.load(model).score_json(list(events))
    found = scored(tmp_path / "out")
    assert [int(row["prediction_id"].rpartition("/")[2]) for row in found] == expected.rows.tolist()
    assert np.array([row["score"] for row in found]).tobytes() == expected.scores.tobytes()
    decision = Predictor.load(model).model.decision_name
    assert [row[decision] for row in found] == expected.decisions.tolist()
    assert [row["customer_id"] for row in found] == [str(customer) for customer in expected.customer_ids]
    assert list(rejected(tmp_path / "out").values()) == [item.reason for item in expected.rejections]


def test_a_suffix_changes_no_bit_and_no_reason(tmp_path: Path) -> None:
    """All files of one folder, compressed ones and other names of a format among them."""
    model = linear_model(tmp_path / "model")
    for suffix in SUFFIXES:
        write_rows(tmp_path / "in", suffix, LINEAR_ROWS)
    arguments = ["--model", str(model), "--output", str(tmp_path / "out")]
    assert main(["score", str(tmp_path / "in"), *arguments]) == ExitCode.DONE
    expected = Predictor.load(model).score_json(
        write_rows(tmp_path, "ndjson", LINEAR_ROWS).read_bytes().splitlines()
    )
    found: dict[str, list[float]] = {f"rows.{suffix}": [] for suffix in SUFFIXES}
    for row in scored(tmp_path / "out"):
        found[row["prediction_id"].rpartition("/")[0]].append(row["score"])
    for file, scores in found.items():
        assert np.array(scores).tobytes() == expected.scores.tobytes(), file
    reasons = rejected(tmp_path / "out")
    for suffix in SUFFIXES:
        assert [reasons[f"rows.{suffix}/{item.row}"] for item in expected.rejections] == [
            item.reason for item in expected.rejections
        ]


@pytest.mark.parametrize("kind", MODELS)
def test_outputs_of_all_formats_compare_as_identical(tmp_path: Path, kind: str) -> None:
    make_model, rows = MODELS[kind]
    model = make_model(tmp_path / "model")
    path = write_rows(tmp_path, "parquet", rows)
    for form in OUTPUT_FORMATS:
        arguments = ["--model", str(model), "--output", str(tmp_path / form), "--format", form]
        assert main(["score", str(path), *arguments]) == ExitCode.DONE
    for form in OUTPUT_FORMATS:
        settings = CompareSettings(stream=str(tmp_path / form), batch=str(tmp_path / "parquet"))
        comparison = compare(settings)
        assert comparison.agrees, comparison
        assert comparison.counts["identical"] == len(scored(tmp_path / form)) > 0
        assert comparison.counts["rejected_alike"] == len(rejected(tmp_path / form)) > 0


#: Rows whose ids are written oddly or that no model takes, as a file of text and as one of columns.
ODD_TEXT = b'customer_id,feature,event_id\n" 11 ",x,e1\n012,0.7,007\n+13,,\n14,nan, \n15,1e999,9\n'
ODD_COLUMNS = {
    "customer_id": [12, None, 14, 15, 16],
    "feature": [float("nan"), 0.1, float("inf"), 0.7, None],
    "event_id": ["e1", " ", "", "007", None],
}


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_rows_and_the_events_that_are_sent_for_them_compare_alike_by_customer(
    tmp_path: Path, name: str
) -> None:
    """What the producer sends for a file's rows, scored as events, has the ids of the file's own rows."""
    model = threshold_model(tmp_path / "model")
    (tmp_path / "rows.csv").write_bytes(ODD_TEXT)
    pq.write_table(pa.table(ODD_COLUMNS), tmp_path / "rows.parquet")
    messages = list(FileRows(tmp_path / name, Predictor.load(model).model.schema))
    assert len(messages) == 5
    (tmp_path / "sent.ndjson").write_bytes(b"".join((message.value or b"") + b"\n" for message in messages))
    for file in (name, "sent.ndjson"):
        arguments = ["--model", str(model), "--output", str(tmp_path / f"{file}-scored")]
        assert main(["score", str(tmp_path / file), *arguments]) == ExitCode.DONE
    stream, batch = (str(tmp_path / f"{file}-scored") for file in ("sent.ndjson", name))
    counts = compare(CompareSettings(stream=stream, batch=batch, on="customer_id")).counts
    # A row without an id has no counterpart that could be known.
    without_id = 1 if name == "rows.parquet" else 0
    assert {name: count for name, count in counts.items() if count} == {
        "identical": 1,
        "rejected_alike": 4 - without_id,
        **({"rejected_on_one": 2 * without_id} if without_id else {}),
    }
