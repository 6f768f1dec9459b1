"""A rejected row that nobody has changed is rejected again when it is retried, for the same reason."""

import csv
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.__main__ import main
from batch.folder import LocalFolder
from batch.refold import reasons_of
from shared.errors import ExitCode
from tests.laws.test_rows_and_events_agree import CELLS, COLUMNS
from tests.support.fixing import rejected_files
from tests.support.models import linear_model
from tests.support.tables import manifest_of

NAMES = ("customer_id", "tenure", "charges", "partner", "contract", "event_id")
TYPED = [kind for kind in COLUMNS if not pa.types.is_null(kind)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("models") / "linear")


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Columns of any types."""
    count, columns = draw(st.integers(1, 4)), {}
    for name in NAMES:
        kind = draw(st.sampled_from(TYPED))
        values: list[Any] = draw(st.lists(COLUMNS[kind] | st.none(), min_size=count, max_size=count))
        columns[name] = (
            pa.array(values, kind.value_type).dictionary_encode()
            if pa.types.is_dictionary(kind)
            else pa.array(values, kind)
        )
    return pa.table(columns)


def reasons(folder: Path) -> dict[str, str]:
    return dict(reasons_of(LocalFolder(folder), manifest_of(folder).rejected))


def check(model: Path, source: Path, output_format: str) -> None:
    folder = source.with_name("out")
    arguments = ["score", str(source), f"--model={model}", f"--output={folder}"]
    assert main([*arguments, f"--format={output_format}"]) == ExitCode.DONE
    before = reasons(folder)
    files = rejected_files(folder)
    if not files:
        return
    assert main(["retry", str(folder), *map(str, files)]) == ExitCode.DONE
    assert reasons(folder) == before


@given(
    rows=st.lists(st.lists(CELLS, min_size=4, max_size=7), min_size=1, max_size=5),
    output_format=st.sampled_from(["csv", "parquet", "ndjson", "arrow"]),
)
@settings(max_examples=60, deadline=None)
def test_rows_of_cells(model: Path, rows: list[list[str]], output_format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        with path.open("w", newline="", encoding="utf-8", errors="ignore") as file:
            csv.writer(file).writerows([NAMES, *rows])
        check(model, path, output_format)


@given(table=tables(), output_format=st.sampled_from(["parquet", "arrow"]))
@settings(max_examples=60, deadline=None)
def test_rows_of_values(model: Path, table: pa.Table, output_format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        try:
            pq.write_table(table, path)
        except pa.ArrowException:  # a type or a value that Parquet has no form for
            return
        check(model, path, output_format)
