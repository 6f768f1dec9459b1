"""Arrow files and streams: types and rows as they are, and a sentence for any damage."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import InputError
from shared.files import check_file, original_rows, read_file, split_file
from shared.schema import Reason

WRITERS: dict[str, Callable[..., Any]] = {"arrow": pa.ipc.new_file, "arrows": pa.ipc.new_stream}
TABLE = pa.table(
    {
        "id": range(20),
        "text": [f"é{number}" for number in range(20)],
        "large": pa.array([f"{number}" for number in range(20)], pa.large_string()),
        "view": pa.array([f"longer than twelve {number}" for number in range(20)], pa.string_view()),
        "plan": pa.array(["a", "b"] * 10).dictionary_encode(),
        "list": [[1.5, None]] * 20,
    }
)


def write(path: Path, table: pa.Table = TABLE, most: int = 7, **options: Any) -> Path:
    with WRITERS[path.suffix[1:]](path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=most)
    return path


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_columns_come_with_their_types_under_their_declared_names(
    tmp_path: Path, suffix: str, compression: str | None
) -> None:
    path = write(tmp_path / f"a.{suffix}", compression=compression)
    chunks = list(read_file(path, columns=["ID", "plan", "view"], ignore_case=True, batch_rows=4))
    assert [len(chunk.rows) for chunk in chunks] == [4, 3, 4, 3, 4, 2]
    batch = pa.concat_batches([chunk.batch for chunk in chunks])
    assert batch.schema.names == ["ID", "view", "plan"]
    assert batch.schema.types == [pa.int64(), pa.string_view(), TABLE.schema.field("plan").type]
    assert batch.column("view").to_pylist() == TABLE["view"].to_pylist()


def test_a_stream_under_the_name_of_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrows").rename(tmp_path / "a.feather")
    assert sum(len(chunk.rows) for chunk in read_file(path)) == 20
    assert len(split_file(path, 7)) == 1


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_cut_short_anywhere_is_an_error(tmp_path: Path, suffix: str) -> None:
    whole = write(tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"a.{suffix}"
    for length in [*range(0, len(whole), 53), *range(len(whole) - 12, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"a.{suffix}: not a whole Arrow file or stream"):
            check_file(path)


@pytest.mark.parametrize("suffix", WRITERS)
def test_damage_anywhere_is_an_error_or_other_values_and_never_the_end_of_the_process(
    tmp_path: Path, suffix: str
) -> None:
    whole = write(tmp_path / f"whole.{suffix}").read_bytes()
    path, pick = tmp_path / f"a.{suffix}", random.Random(7)  # noqa: S311 - chooses what to damage
    errors = 0
    for _ in range(400):
        content = bytearray(whole)
        content[pick.randrange(len(whole))] ^= pick.choice([1, 0x40, 0x80, 0xFF])
        path.write_bytes(content)
        try:
            for chunk in read_file(path):
                assert chunk.batch is not None
                chunk.batch.to_pylist()
        except InputError as error:
            errors += 1
            assert error.message.startswith(str(path))  # noqa: PT017 - only some damage shows
    assert errors > 20


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_invalid_utf8_rejects_its_row_alone(tmp_path: Path, kind: Any) -> None:
    raw = pa.array([b"ok", b"\xff", None, b"fine"])
    if pa.types.is_dictionary(kind):
        raw = raw.dictionary_encode()
        texts = raw.dictionary.view(pa.string())
        text = pa.DictionaryArray.from_arrays(raw.indices, texts)
    else:
        text = raw.cast(pa.large_binary() if kind == pa.large_string() else pa.binary()).view(kind)
    path = write(tmp_path / "a.arrow", pa.table({"a": text}))
    (chunk,) = read_file(path)
    assert chunk.rows.tolist() == [0, 2, 3]
    assert chunk.batch is not None
    assert chunk.batch.column(0).to_pylist() == ["ok", None, "fine"]
    assert [(item.row, item.reason) for item in chunk.rejections] == [(1, Reason.INVALID_UTF8)]
    (original,) = original_rows(path, np.array([1]))
    assert original.column(0).type == kind
    assert b"\xff" in b"".join(bytes(buffer) for buffer in _texts(original.column(0)).buffers() if buffer)


def _texts(column: Any) -> Any:
    return column.dictionary if pa.types.is_dictionary(column.type) else column


def test_the_first_version_of_feather_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.feather").write_bytes(b"FEA1" + bytes(100))
    with pytest.raises(InputError, match="Feather's first version"):
        check_file(tmp_path / "a.feather")


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrows")
    for look in (check_file, lambda *a, **k: list(read_file(*a, **k))):
        with pytest.raises(InputError, match="the column 'score' is missing"):
            look(path, columns=["score"], required=["score"])
