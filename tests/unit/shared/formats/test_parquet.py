"""Parquet in bounded batches, by row groups."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import InputError
from shared.files import original_rows, read_file, split_file
from shared.formats import parquet


def test_wide_rows_come_in_batches_of_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that repeat, too, of which the file holds one; and no row is changed by it."""
    monkeypatch.setattr(parquet, "_HELD_BYTES", 100_000)
    columns = {f"number_{place}": np.arange(2000) + place for place in range(20)}
    table = pa.table({**columns, **{f"text_{place}": ["x" * 200] * 2000 for place in range(20)}})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=900)
    chunks = list(read_file(tmp_path / "a.parquet"))
    batches = [chunk.batch for chunk in chunks if chunk.batch is not None]
    assert max(batch.nbytes for batch in batches) < 110_000
    assert pa.Table.from_batches(batches).equals(table)
    assert np.concatenate([chunk.rows for chunk in chunks]).tolist() == list(range(2000))


def test_narrow_rows_come_in_batches_as_large_as_is_asked_for(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": np.arange(200_000), "b": ["text"] * 200_000}), tmp_path / "a.parquet")
    assert [len(chunk.rows) for chunk in read_file(tmp_path / "a.parquet")] == [65_536] * 3 + [3_392]


def test_splits_are_runs_of_row_groups_and_a_larger_one_is_alone(tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(100)})
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        for begin, count in ((0, 10), (10, 10), (20, 10), (30, 50), (80, 5), (85, 15)):
            writer.write_table(table.slice(begin, count))
    splits = split_file(tmp_path / "a.parquet", 20)
    assert [(split.first, split.rows, split.begin, split.end) for split in splits] == [
        (0, 20, 0, 2),
        (20, 10, 2, 3),
        (30, 50, 3, 4),
        (80, 20, 4, 6),
    ]


def test_only_the_row_groups_are_read_that_hold_a_wanted_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"a": np.arange(3000), "b": [f"text {n}" for n in range(3000)]})
    pq.write_table(table, path, row_group_size=1000)
    content = bytearray(path.read_bytes())
    begin = pq.read_metadata(path).row_group(1).column(1).dictionary_page_offset
    content[begin : begin + 60] = bytes(60)
    path.write_bytes(content)
    found = pa.Table.from_batches(original_rows(path, np.array([3, 999, 2000])))
    assert found.to_pylist() == [{"a": n, "b": f"text {n}"} for n in (3, 999, 2000)]
    assert sum(len(chunk.rows) for chunk in read_file(path, skip=2000)) == 1000
    with pytest.raises(InputError, match="damaged"):
        list(original_rows(path, np.array([1500])))


def test_original_rows_have_nested_columns_and_those_that_no_model_takes(tmp_path: Path) -> None:
    table = pa.table({"a.b": [1, 2], "a": [{"b": 1}, None], "c": [[1], []]})
    pq.write_table(table, tmp_path / "a.parquet")
    (found,) = original_rows(tmp_path / "a.parquet", np.array([1]), columns=["c"])
    assert found.to_pylist() == [{"a.b": 2, "a": None, "c": []}]
