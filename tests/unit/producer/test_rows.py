"""The rows of a file become events that stand for them."""

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producer.message import Message
from producer.rows import FileRows, RowEncoder
from shared.errors import InputError
from shared.events import MAX_EVENT_BYTES
from shared.schema import Input, Schema

SCHEMA = Schema(
    key="customerID",
    inputs=(
        Input(name="customerID", type="string"),
        Input(name="tenure", type="integer"),
        Input(name="TotalCharges", type="number"),
        Input(name="senior", type="boolean", default=False),
    ),
)


def encoded(
    columns: dict[str, pa.Array], schema: Schema = SCHEMA, *, text: bool = False
) -> list[dict[str, Any]]:
    batch = pa.RecordBatch.from_pydict(columns)
    return [json.loads(message.value or b"") for message in RowEncoder(schema).messages(batch, text=text)]


def sent(path: Path, **options: Any) -> list[Message]:
    return list(FileRows(path, SCHEMA, **options))


def test_cells_of_a_csv_are_typed_by_the_model(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("customerID,tenure,TotalCharges,senior,note\n007,12,1e2,TRUE,12\n8, 3 ,5.50,no,\n")
    assert [message.value for message in sent(path)] == [
        b'{"customerID":"007","tenure":12,"TotalCharges":100.0,"senior":true}',
        b'{"customerID":"8","tenure":3,"TotalCharges":5.5,"senior":"no"}',
    ]
    assert [message.key for message in sent(path)] == [b"007", b"8"]


def test_a_blank_cell_is_a_field_left_out_and_an_unreadable_one_stays_text() -> None:
    cells = {"customerID": ["1", " "], "tenure": ["", "twelve"], "TotalCharges": ["nan", "1,5"]}
    columns = {name: pa.array(column, pa.string()) for name, column in cells.items()}
    assert encoded(columns, text=True) == [
        {"customerID": "1", "TotalCharges": "nan"},
        {"tenure": "twelve", "TotalCharges": "1,5"},
    ]


def test_a_row_without_an_id_has_no_key() -> None:
    batch = pa.RecordBatch.from_pydict({"customerID": pa.array([None, "7"], pa.string())})
    assert [message.key for message in RowEncoder(SCHEMA).messages(batch, text=False)] == [None, b"7"]


def test_columns_are_matched_in_any_case_when_told_so(tmp_path: Path) -> None:
    path = tmp_path / "lower.csv"
    path.write_text("customerid,tenure,totalcharges,SENIOR,Other\n1,2,3.5,true,x\n")
    with pytest.raises(InputError, match="customerID"):
        FileRows(path, SCHEMA).check()
    rows = FileRows(path, SCHEMA, ignore_case=True)
    rows.check()
    (message,) = rows
    assert json.loads(message.value or b"") == {
        "customerID": "1",
        "tenure": 2,
        "TotalCharges": 3.5,
        "senior": True,
    }


def test_a_strict_models_columns_are_all_sent_and_matched_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "lower.csv"
    path.write_text("customerid,tenure,totalcharges,SENIOR,Other\n1,2,3.5,true,x\n")
    strict = SCHEMA.model_copy(update={"strict": True})
    (message,) = FileRows(path, strict, ignore_case=True)
    assert json.loads(message.value or b"") == {
        "customerID": "1",
        "tenure": 2,
        "TotalCharges": 3.5,
        "senior": True,
        "Other": "x",
    }


def test_a_column_that_the_model_ignores_is_not_sent_however_large(tmp_path: Path) -> None:
    """The row is scored in batch, where nobody reads that column; its event must not be too large."""
    path = tmp_path / "rows.parquet"
    row = {"customerID": ["a"], "tenure": [1], "TotalCharges": [2.0], "letter": ["x" * 2 * MAX_EVENT_BYTES]}
    pq.write_table(pa.table(row), path)
    assert [message.value for message in sent(path)] == [b'{"customerID":"a","tenure":1,"TotalCharges":2.0}']


def test_rows_that_are_not_whole_are_skipped_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ragged.csv"
    path.write_bytes(b"customerID,tenure,TotalCharges\n1,2,3\n2,2\n3,2,3\n\xff,2,3\n5,2,3,4\n6,2,3\n")
    rows = FileRows(path, SCHEMA)
    with caplog.at_level(logging.WARNING):
        assert [message.key for message in rows] == [b"1", b"3", b"6"]
    assert rows.skipped == 3
    assert ["row 1 " in caplog.text, "row 3 " in caplog.text, "row 4 " in caplog.text] == [True] * 3


def test_lines_of_ndjson_are_sent_as_the_bytes_they_are(tmp_path: Path) -> None:
    lines = [
        b'{"customerID" : "a", "tenure": 1.0 }',
        b'{"customerID": 7}',
        b'{"customerID": "\xff"}',
        b"not json",
        b'["customerID"]',
        b'{"customerID": {"a": 1}}',
        b'{"customerID": "\\ud800"}',
        b"[" * 5000,
    ]
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(lines))
    assert sent(path) == [
        Message(key, line) for key, line in zip([b"a", b"7", *[None] * 6], lines, strict=True)
    ]


def test_typed_values_are_sent_as_their_number_or_text() -> None:
    strict = SCHEMA.model_copy(update={"strict": True})
    assert encoded(
        {
            "tenure": pa.array([1, None], pa.int8()),
            "single": pa.array([0.1, None], pa.float32()),
            "price": pa.array([Decimal("12.30"), None]),
            "flag": pa.array([True, None]),
            "at": pa.array([0, None], pa.timestamp("ms")),
            "zoned": pa.array([0, None], pa.timestamp("s", "America/New_York")),
            "day": pa.array([1, None], pa.date32()),
            "word": pa.array(["a", None]).dictionary_encode(),
        },
        strict,
    ) == [
        {
            "tenure": 1,
            "single": 0.10000000149011612,
            "price": 12.3,
            "flag": True,
            "at": "1970-01-01T00:00:00.000Z",
            "zoned": "1970-01-01T00:00:00Z",
            "day": "1970-01-02",
            "word": "a",
        },
        {},
    ]


def test_a_nan_of_a_parquet_file_is_sent_as_one_and_a_null_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"customerID": ["a", "b"], "tenure": [1, 2], "TotalCharges": [float("nan"), None]})
    pq.write_table(table, path)
    assert [message.value for message in sent(path)] == [
        b'{"customerID":"a","tenure":1,"TotalCharges":NaN}',
        b'{"customerID":"b","tenure":2}',
    ]


def test_a_column_without_a_json_value_is_refused_when_declared_and_left_out_when_not() -> None:
    pairs = pa.array([[1, 2]])
    assert encoded({"customerID": pa.array(["a"]), "extra": pairs}) == [{"customerID": "a"}]
    with pytest.raises(InputError, match=r"tenure.*list"):
        encoded({"customerID": pa.array(["a"]), "tenure": pairs})
