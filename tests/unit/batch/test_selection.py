"""Which rows are in a sample, which columns go along, and how predictions are parted into folders."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.selection.partitions import MOST_FOLDERS, NO_VALUE, check_columns, escaped, shares_of, values_in
from batch.selection.selection import Selection, Selector, check_mapping, names_in_batch
from batch.sources import FileRows, Reading
from shared.errors import ConfigurationError, InputError
from shared.files import Chunk, Source
from shared.sampling import Sample, splitmix64
from shared.schema import Input, Reason, Rejection, Schema

SOURCE = FileRows(Source(Path("a.csv"), "a.csv"), Reading())
SCHEMA = Schema(
    key="account",
    inputs=(
        Input(name="account", type="integer"),
        Input(name="tenure", type="integer"),
        Input(name="price", type="number"),
        Input(name="active", type="boolean"),
        Input(name="plan", type="category", values=("pro", "free")),
    ),
)


def test_the_generator_of_samples_is_splitmix64() -> None:
    """The outputs that the generator's authors give for the seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert splitmix64(1234567, np.arange(3)).tolist() == expected


def test_a_sample_has_its_share_of_the_rows() -> None:
    rows = np.arange(200_000)
    for share in (0.01, 0.5, 0.999):
        drawn = int(Sample(share).holds("a.csv", rows).sum())
        assert abs(drawn - share * len(rows)) < 5 * np.sqrt(share * (1 - share) * len(rows))
    assert Sample(1.0).holds("a.csv", rows).all()


@given(cuts=st.lists(st.integers(0, 1000), max_size=5))
@settings(deadline=None)
def test_a_sample_is_the_same_in_any_pieces(cuts: list[int]) -> None:
    sample, rows = Sample(0.3, seed=7), np.arange(1000)
    pieces = [sample.holds("a", piece) for piece in np.split(rows, sorted(cuts))]
    assert np.concatenate(pieces).tolist() == sample.holds("a", rows).tolist()


def test_a_sample_depends_on_the_seed_and_the_file() -> None:
    rows = np.arange(1000)
    drawn = [Sample(0.5, seed).holds(name, rows).tolist() for seed, name in ((0, "a"), (1, "a"), (0, "b"))]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_rows_that_the_format_refuses_are_drawn_too() -> None:
    sample = Sample(0.5)
    refused = [Rejection(row, Reason.RAGGED_ROW, None, "") for row in range(100, 200)]
    chunk = Chunk(np.arange(100), None, [b"{}"] * 100, rejections=refused)
    picked = Selector(Selection(sample=sample), SCHEMA).pick(chunk, SOURCE)
    drawn = sample.holds("a.csv", np.arange(200))
    assert picked.rows.tolist() == np.flatnonzero(drawn[:100]).tolist()
    assert [one.row for one in picked.rejections] == (np.flatnonzero(drawn[100:]) + 100).tolist()


ROWS: list[dict[str, Any]] = [
    {"account": 1, "tenure": 3, "price": 0.5, "active": True, "plan": "pro", "note": "x, y"},
    {"account": 2, "tenure": 4.0, "price": 1, "active": False, "plan": "free", "note": None},
]
PASSED = {
    "account": pa.int64(),
    "tenure": pa.int64(),
    "price": pa.float64(),
    "active": pa.bool_(),
    "plan": pa.string(),
    "note": pa.string(),
}


def passed(chunk: Chunk, **types: pa.DataType) -> list[Any]:
    fields = Selector(Selection(columns=tuple(types)), SCHEMA).fields(chunk, SOURCE)
    arrays = [fields.values(name, np.arange(len(chunk.rows))) for name in types]
    assert [array.type for array in arrays] == [fields.type_of(name) for name in types] == [*types.values()]
    return [array.to_pylist() for array in arrays]


def test_declared_inputs_go_along_with_their_declared_type() -> None:
    expected = [list(column) for column in zip(*(row.values() for row in ROWS), strict=True)]
    values = [json.dumps(row).encode() for row in ROWS]
    assert passed(Chunk(np.arange(2), None, values), **PASSED) == expected
    cells = {name: ["" if row[name] is None else str(row[name]).lower() for row in ROWS] for name in PASSED}
    text = Chunk(np.arange(2), pa.record_batch(cells), text=True)
    assert passed(text, **PASSED) == expected


def test_what_is_no_text_goes_along_as_the_text_that_the_event_has() -> None:
    values = [b'{"note": {"a" : 1.0}}', b'{"note":12.50}', b'{"note":"\\u00e9"}', b'{"note":""}', b"{}"]
    chunk = Chunk(np.arange(5), None, values)
    assert passed(chunk, note=pa.string()) == [['{"a" : 1.0}', "12.50", "é", "", None]]


def test_typed_columns_keep_their_type_but_for_dictionaries() -> None:
    columns = {"n": pa.array([1, None], pa.int16()), "d": pa.array(["a", "b"]).dictionary_encode()}
    chunk = Chunk(np.arange(2), pa.record_batch(columns))
    assert passed(chunk, n=pa.int16(), d=pa.string()) == [[1, None], ["a", "b"]]


def test_a_column_that_an_input_is_read_from_is_found_under_the_input() -> None:
    mapped = {"tenure": "months"}
    assert names_in_batch(["months", "note"], SCHEMA, mapped, ignore_case=False) == {"months": "tenure"}
    assert names_in_batch(["MONTHS", "Note", "NOTE", "PLAN"], SCHEMA, mapped, ignore_case=True) == {
        "MONTHS": "tenure",
        "NOTE": "Note",
        "PLAN": "plan",
    }
    with pytest.raises(ConfigurationError, match="--map reads that input from months"):
        names_in_batch(["tenure"], SCHEMA, mapped, ignore_case=False)


def test_a_mapping_that_makes_no_sense_is_refused() -> None:
    for mapped, said in (
        ({"tenur": "months"}, "the model has no input tenur"),
        ({"tenure": "months", "price": "months"}, "tenure and price are read from one column, months"),
        ({"tenure": ""}, "the column has no name"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            check_mapping(mapped, SCHEMA)


def test_rows_are_parted_by_their_values_in_order() -> None:
    rows = pa.table(
        {
            "id": range(6),
            "plan": ["pro", None, "a/b=c", "pro", "", "a/b=c"],
            "churn": [True, False, True, True, False, False],
        }
    )
    shares = shares_of(rows, ["plan", "churn"])
    assert [(share.folder, share.rows.column("id").to_pylist()) for share in shares] == [
        (f"plan={NO_VALUE}/churn=false", [1, 4]),
        ("plan=a%2Fb%3Dc/churn=false", [5]),
        ("plan=a%2Fb%3Dc/churn=true", [2]),
        ("plan=pro/churn=true", [0, 3]),
    ]
    assert shares[0].values == {"plan": None, "churn": "false"}
    assert all(share.rows.column_names == ["id"] for share in shares)


def test_the_text_of_no_value_shares_the_folder_of_no_value() -> None:
    """Two shares of one folder would be two files of one name: the second would replace the first."""
    rows = pa.table({"id": range(4), "plan": ["pro", None, NO_VALUE, ""]})
    (nothing, pro) = shares_of(rows, ["plan"])
    assert (nothing.folder, nothing.rows.column("id").to_pylist()) == (f"plan={NO_VALUE}", [1, 2, 3])
    assert pro.rows.column("id").to_pylist() == [0]


def test_folders_whose_values_differ_by_case_alone_are_two_on_every_disk() -> None:
    plans = ["Pro", "pro", "É", "é", "e\u0301", "Free"]
    shares = shares_of(pa.table({"id": range(6), "plan": plans}), ["plan"])
    found = {share.values["plan"]: share.folder for share in shares}
    assert found["Pro"] == "plan=%50ro"
    assert found["pro"] == "plan=pro"
    assert found["Free"] == "plan=Free", "one without a like keeps its name"
    assert len({folder.casefold() for folder in found.values()}) == len(plans)
    assert all(values_in(f"{folder}/part") == {"plan": value} for value, folder in found.items())


@given(text=st.text())
def test_folders_have_names_that_a_folder_can_have_and_that_read_back(text: str) -> None:
    assert not set(escaped(text)) & set("/\0=")
    assert unquote(escaped(text)) == text


def test_too_many_folders_are_refused() -> None:
    rows = pa.table({"id": range(MOST_FOLDERS + 1), "n": range(MOST_FOLDERS + 1)})
    assert len(shares_of(rows.slice(1), ["n"])) == MOST_FOLDERS
    with pytest.raises(InputError, match="has 1,001 different values, more than the 1,000 folders"):
        shares_of(rows, ["n"])


def test_a_value_that_is_too_long_for_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match="has a name of 302 bytes"):
        shares_of(pa.table({"id": [1], "n": ["é" * 150]}), ["n"])


def test_columns_that_make_no_folders_are_refused() -> None:
    schema = pa.schema({"id": pa.string(), "score": pa.float64(), "churn": pa.bool_()})
    check_columns(["churn", "id"], schema)
    for names, said in (
        (["plan"], "the predictions have no column of that name"),
        (["score"], "its type is double, which makes no names of folders"),
        (["churn", "churn"], "a column is named twice"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            check_columns(names, schema)
