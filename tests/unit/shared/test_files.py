"""Files are read in bounded pieces, with true row numbers, whatever they hold."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from shared.events import MAX_EVENT_BYTES
from shared.files import Chunk, check_file, find_sources, read_file
from shared.formats import csv_rows, ndjson
from shared.schema import Reason


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def table_of(chunks: Iterator[Chunk]) -> tuple[list[int], list[tuple[object, ...]], list[tuple[int, Reason]]]:
    """Row numbers, rows and rejections of a file of columns."""
    rows: list[int] = []
    cells: list[tuple[object, ...]] = []
    rejected: list[tuple[int, Reason]] = []
    for chunk in chunks:
        assert chunk.batch is not None
        assert chunk.batch.num_rows == len(chunk.rows)
        rows += chunk.rows.tolist()
        cells += [tuple(row.values()) for row in chunk.batch.to_pylist()]
        rejected += [(rejection.row, rejection.reason) for rejection in chunk.rejections]
    return rows, cells, rejected


def lines_of(chunks: Iterator[Chunk]) -> tuple[list[int], list[bytes], list[int]]:
    """Row numbers, lines and rejected rows of a file of lines."""
    rows: list[int] = []
    lines: list[bytes] = []
    rejected: list[int] = []
    for chunk in chunks:
        assert chunk.values is not None
        rows += chunk.rows.tolist()
        lines += chunk.values
        rejected += [rejection.row for rejection in chunk.rejections]
    return rows, lines, rejected


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few bytes, so that a small file has many."""
    monkeypatch.setattr(csv_rows, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(csv_rows, "LONGEST_ROW", 65_536)
    monkeypatch.setattr(ndjson, "_BLOCK_BYTES", 64)


def test_a_csv_file_is_read_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbfid,feature\r\n101,0.2\r\n\r\n 102 ,\r\n")
    rows, cells, rejected = table_of(read_file(path))
    assert (rows, cells, rejected) == ([0, 1], [("101", "0.2"), (" 102 ", "")], [])


def test_only_wanted_columns_are_read_under_their_declared_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"x,FEATURE,Id\n1,2,3\n")
    chunk = next(read_file(path, columns=["id", "feature"], required=["id"], ignore_case=True))
    assert chunk.text
    assert chunk.batch is not None
    assert chunk.batch.to_pylist() == [{"feature": "2", "id": "3"}]


@settings(deadline=None)
@example(content=[["", ""]] * 3 + [["", "", ""], ["", ""]] * 3)
@example(content=[["x" * n, "\r\n"] for n in range(80)])
@given(
    content=st.lists(
        st.lists(st.text(alphabet='ab"\n,\ré', max_size=5), min_size=1, max_size=4).filter(
            lambda row: row != [""]
        ),
        max_size=40,
    )
)
def test_rows_keep_their_numbers_whatever_stands_between_them(
    tmp_path_factory: pytest.TempPathFactory, content: list[list[str]]
) -> None:
    """Quoted line breaks, ragged rows and blocks of any size do not move a row's number."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *content])
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "_BLOCK_BYTES", 16)
        rows, cells, rejected = table_of(read_file(path, batch_rows=3))
    good = {number: tuple(row) for number, row in enumerate(content) if len(row) == 2}
    assert rows == list(good)
    assert cells == list(good.values())
    bad = [number for number in range(len(content)) if number not in good]
    assert rejected == [(number, Reason.RAGGED_ROW) for number in bad]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ragged", [range(100, 300), range(400), range(0), range(0, 400, 3), range(395, 400)])
def test_ragged_rows_are_rejected_where_they_stand(tmp_path: Path, ragged: range) -> None:
    lines = [b"1" if row in ragged else b"%d,x" % row for row in range(400)]
    path = write(tmp_path / "a.csv", b"a,b\n" + b"\n".join(lines))
    rows, cells, rejected = table_of(read_file(path))
    assert rows == [row for row in range(400) if row not in ragged]
    assert cells == [(str(row), "x") for row in rows]
    assert rejected == [(row, Reason.RAGGED_ROW) for row in ragged]


def test_a_ragged_row_says_how_many_fields_it_has(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n1,2,3\n")
    (chunk,) = read_file(path)
    assert chunk.rejections[0].detail == "the row has 3 fields; the header has 2"


@pytest.mark.usefixtures("small_blocks")
def test_invalid_utf8_rejects_its_row_alone(tmp_path: Path) -> None:
    lines = [b"%d,caf\xc3\xa9" % row for row in range(100)]
    lines[40], lines[60], lines[70] = b"40,caf\xe9", b"caf\xe9", b"70,\xc3"
    path = write(tmp_path / "a.csv", b"a,b\n" + b"\n".join(lines) + b"\n")
    rows, cells, rejected = table_of(read_file(path))
    assert rows == [row for row in range(100) if row not in (40, 60, 70)]
    assert cells == [(str(row), "café") for row in rows]
    assert rejected == [
        (40, Reason.INVALID_UTF8),
        (60, Reason.RAGGED_ROW),
        (70, Reason.INVALID_UTF8),
    ]


def test_invalid_utf8_in_a_column_that_is_not_wanted_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n1,\xff\n")
    assert table_of(read_file(path, columns=["a"])) == ([0], [("1",)], [])


def test_a_field_of_many_megabytes_is_read(tmp_path: Path) -> None:
    long = b"x" * (10 * 1024 * 1024)
    path = write(tmp_path / "a.csv", b"a,b\n" + b"1,2\n" * 1000 + b"3," + long + b"\n4,5\n")
    rows, cells, _ = table_of(read_file(path))
    assert rows == list(range(1002))
    assert cells[1000] == ("3", long.decode())
    assert cells[1001] == ("4", "5")


def test_a_row_longer_than_any_block_is_refused(tmp_path: Path, small_blocks: None) -> None:  # noqa: ARG001
    path = write(tmp_path / "a.csv", b'a,b\n1,2\n3,"' + b"x\n" * 200_000)
    with pytest.raises(InputError, match="data row 1 is longer than"):
        list(read_file(path))


@pytest.mark.parametrize(
    "content",
    [b'a,b\n1,"x\n2,y\n3,z\n', b'a,b\n1,"x\n2,y', b'a,b,c\n1,2,3\n1,"x\n2,y\n'],
)
def test_a_quote_that_is_never_closed_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(InputError, match="is never closed"):
        list(read_file(path))


@pytest.mark.parametrize(
    "content",
    [
        b'a,b\n1,"x\ny"\n',
        b'a,b\n1,"x\n"\n',
        b'a,b\n1,"x\ny"\n2\n',
        b'a,b,c\n"x\ny",1\n',
        b'a,b\n1,"x\ny"\n2,z\n',
    ],
)
def test_a_line_break_in_a_closed_quote_is_none(tmp_path: Path, content: bytes) -> None:
    list(read_file(write(tmp_path / "a.csv", content)))


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        (b"", "the file is empty", "line of column names"),
        (b"\n\n", "the file is empty", "line of column names"),
        (b"id;feature\n1;2\n", "the columns are separated by ';', not by ','", "--delimiter ';'"),
        (b"id\tfeature\n1\t2\n", "separated by '\\t'", "--delimiter tab"),
        (b"id,other\n1,2\n", "the column 'feature' is missing", "The file has the columns: id, other"),
        (b"id,Feature\n1,2\n", "the column 'feature' is missing", "--ignore-case"),
        (b"id,feature,feature\n1,2,3\n", "the column 'feature' is there more than once", "Rename"),
        (b"\xff\xfei\x00d\x00", "the file is UTF-16", "UTF-8"),
        (b"id,f\xe9ature\n1,2\n", "the header is not valid UTF-8", "UTF-8"),
        (b'id,"feature\n1,2\n', "the header cannot be read", "quote"),
    ],
)
def test_a_csv_header_that_does_not_fit_is_an_error(
    tmp_path: Path, content: bytes, said: str, hint: str
) -> None:
    path = write(tmp_path / "a.csv", content)
    for read in (check_file, lambda *a, **k: list(read_file(*a, **k))):
        with pytest.raises(InputError) as caught:
            read(path, columns=["id", "feature"], required=["id", "feature"])
        assert caught.value.message.startswith(str(path))
        assert said in caught.value.message
        assert hint in str(caught.value.hint)


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    assert table_of(read_file(write(tmp_path / "a.csv", b"a,b"))) == ([], [], [])


@settings(deadline=None)
@given(lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=60))
def test_ndjson_lines_come_as_they_are(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """Blocks of any size neither join nor split lines; blank ones are passed over."""
    path = write(tmp_path_factory.mktemp("nd") / "a.ndjson", b"\xef\xbb\xbf" + b"\n".join(lines))
    kept = [line.removesuffix(b"\r") for line in lines if line and not line.isspace()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ndjson, "_BLOCK_BYTES", 16)
        assert lines_of(read_file(path, batch_rows=2)) == (list(range(len(kept))), kept, [])


def test_a_line_longer_than_any_event_is_rejected_without_being_kept(tmp_path: Path) -> None:
    long = b"x" * (20 * 1024 * 1024)
    path = write(tmp_path / "a.jsonl", b"1\r\n" + long + b"\r\n2\n" + long)
    chunks = list(read_file(path))
    rejections = [rejection for chunk in chunks for rejection in chunk.rejections]
    assert [(rejection.row, rejection.reason) for rejection in rejections] == [
        (1, Reason.TOO_LARGE),
        (3, Reason.TOO_LARGE),
    ]
    assert {rejection.detail for rejection in rejections} == {
        f"the event has {len(long):,} bytes; at most {MAX_EVENT_BYTES:,} are read"
    }
    assert lines_of(iter(chunks)) == ([0, 2], [b"1", b"2"], [1, 3])


def test_parquet_keeps_its_types_and_reads_categories_as_dictionaries(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "plan": ["a", "b"], "a.b": [0.5, None], "n": [1, 2], "unused": [1, 2]})
    pq.write_table(table, tmp_path / "a.parquet")
    (chunk,) = read_file(
        tmp_path / "a.parquet", columns=["id", "plan", "a.b", "n"], required=["id"], categories=["plan", "n"]
    )
    assert chunk.batch is not None
    assert chunk.rows.tolist() == [0, 1]
    assert chunk.batch.schema.names == ["id", "plan", "a.b", "n"]
    assert pa.types.is_dictionary(chunk.batch.schema.field("plan").type)
    assert chunk.batch.column("a.b").to_pylist() == [0.5, None]


@pytest.mark.parametrize("categories", [[], ["a"]])
def test_invalid_utf8_in_parquet_rejects_its_row_alone(tmp_path: Path, categories: list[str]) -> None:
    raw = pa.array([b"ok", b"\xff", None, b"ok"])
    text = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    pq.write_table(pa.table({"a": text, "b": pa.array([1, 2, 3, 4])}), tmp_path / "a.parquet")
    rows, cells, rejected = table_of(read_file(tmp_path / "a.parquet", categories=categories))
    assert rows == [0, 2, 3]
    assert cells == [("ok", 1), (None, 3), ("ok", 4)]
    assert rejected == [(1, Reason.INVALID_UTF8)]


@pytest.mark.parametrize("kept", [0, 4, 100, -1, -9])
def test_a_parquet_file_cut_short_is_an_error(tmp_path: Path, kept: int) -> None:
    pq.write_table(pa.table({"a": np.arange(1000)}), tmp_path / "whole.parquet")
    path = write(tmp_path / "a.parquet", (tmp_path / "whole.parquet").read_bytes()[:kept])
    for read in (check_file, lambda path: list(read_file(path))):
        with pytest.raises(InputError, match=r"a\.parquet: not a whole Parquet file"):
            read(path)


def test_a_parquet_file_damaged_inside_is_an_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [f"some text {n}" for n in range(1000)]}), tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[10:200] = bytes(190)
    path = write(tmp_path / "a.parquet", bytes(content))
    with pytest.raises(InputError, match=r"a\.parquet: "):
        list(read_file(path))


def test_folders_and_patterns_stand_for_their_files(tmp_path: Path) -> None:
    for name in ("b/x.csv", "a/x.csv", "a/y.ndjson", "a/_z.csv", ".hidden/x.csv", "a/notes.txt", "c/X.CSV"):
        write(tmp_path / name, b"")
    names = [source.name for source in find_sources([str(tmp_path)])]
    assert names == ["a/x.csv", "a/y.ndjson", "b/x.csv", "c/X.CSV"]
    matched = [source.file for source in find_sources([str(tmp_path / "?" / "*.csv")])]
    assert matched == [tmp_path / "a/x.csv", tmp_path / "b/x.csv"]
    assert [source.name for source in find_sources([str(tmp_path / "*" / "x.csv")])] == ["a/x.csv", "b/x.csv"]


def test_a_name_that_is_not_unique_gets_the_folders_that_tell_it_apart(tmp_path: Path) -> None:
    for name in ("one/b/x.csv", "two/b/x.csv", "y.csv"):
        write(tmp_path / name, b"")
    given = [str(tmp_path / name) for name in ("one/b/x.csv", "two/b/x.csv", "y.csv", "y.csv")]
    assert [source.name for source in find_sources(given)] == ["one/b/x.csv", "two/b/x.csv", "y.csv"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere.csv", "there is no such file or folder"),
        ("*.csv", "no file matches"),
        ("notes.txt", "the format is unknown: the name ends in .txt"),
        ("empty", "no file with a known suffix is in it"),
    ],
)
def test_inputs_that_stand_for_nothing_are_an_error(tmp_path: Path, given: str, said: str) -> None:
    write(tmp_path / "notes.txt", b"")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        find_sources([str(tmp_path / given)])
    assert said in caught.value.message
    assert str(tmp_path / given) in caught.value.message


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    for name, said in (("a.csv", "Is a directory"), ("gone.csv", "No such file")):
        with pytest.raises(InputError, match=said):
            list(read_file(tmp_path / name))


@pytest.mark.parametrize("given", ["in/pipe.csv", "in"])
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, given: str) -> None:
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.csv")
    with pytest.raises(InputError, match=r"pipe\.csv: cannot be read: it is no regular file"):
        find_sources([str(tmp_path / given)])


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(InputError, match="Permission denied"):
        find_sources([str(tmp_path)])


def test_pieces_tell_how_far_the_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a\n" + b"1\n" * 1_000_000)
    done = [chunk.done for chunk in read_file(path, batch_rows=10_000)]
    assert done == sorted(done)
    assert 0 < done[0] <= done[-1] == 1.0


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / os.fsdecode(f"caf\u00e9.{suffix}".encode("latin-1")), b"")
    for look in (lambda: find_sources([str(tmp_path)]), lambda: check_file(path)):
        with pytest.raises(InputError) as caught:
            look()
        assert caught.value.message == f"{tmp_path}/caf\\xe9.{suffix}: the name is not UTF-8"
