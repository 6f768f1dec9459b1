"""Compressed files are read whole or not at all, and ranges of files alone."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from shared.errors import InputError
from shared.files import check_file, read_file
from shared.formats import content
from shared.formats.content import Content, targets
from shared.storage import LocalFile

PACKS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("kind", PACKS)
@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_a_compressed_file_cut_short_anywhere_is_an_error(tmp_path: Path, name: str, kind: str) -> None:
    whole = b"a,b\n" + b"".join(b"%d,%d\n" % (row, row * row) for row in range(60))
    path = tmp_path / f"{name}.{kind}"
    pieces = [PACKS[kind](whole[:300]), PACKS[kind](whole[300:])]
    packed = b"".join(pieces)
    # Cut where one of its two pieces ends, nothing in it says that there was another.
    for length in sorted(set(range(len(packed))) - {len(pieces[0])}):
        path.write_bytes(packed[:length])
        with pytest.raises(InputError, match=f"{name}.{kind}: the .*file is"):
            list(read_file(path))
    path.write_bytes(packed)
    assert sum(len(chunk.rows) for chunk in read_file(path)) == 60 + (name == "a.ndjson")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.ndjson.zst"])
def test_a_compressed_file_that_is_none_is_an_error(tmp_path: Path, name: str) -> None:
    for body in (b"", b"a,b\n1,2\n"):
        (tmp_path / name).write_bytes(body)
        with pytest.raises(InputError, match=name):
            check_file(tmp_path / name)


def test_garbage_after_a_compressed_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(b"1\n2\n") + b"3\n")
    with pytest.raises(InputError, match="the file is damaged"):
        list(read_file(path))


@pytest.mark.parametrize("kind", PACKS)
def test_a_compressed_file_is_read_in_pieces_however_small_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.ndjson.{kind}"
    path.write_bytes(PACKS[kind](b"0123456789\n" * 3_000_000))
    sizes = [sum(map(len, chunk.values or ())) for chunk in read_file(path)]
    assert sum(sizes) == 30_000_000
    assert max(sizes) < 5 * 1024 * 1024


def test_where_a_file_is_split_depends_on_its_length_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "SPLIT_BYTES", 100)
    for size, expected in ((0, []), (149, []), (151, [75]), (1000, list(range(100, 1000, 100)))):
        (tmp_path / "a.csv").write_bytes(b"x" * size)
        assert targets(LocalFile(tmp_path / "a.csv")) == expected
    (tmp_path / "a.csv").rename(tmp_path / "a.csv.gz")
    assert targets(LocalFile(tmp_path / "a.csv.gz")) == []


def test_progress_in_a_compressed_file_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"".join(b"%d\n" % (n * n) for n in range(500_000))))
    done = [chunk.done for chunk in read_file(path)]
    assert done == sorted(done)
    assert 0 < done[0] < 1 == done[-1]
    with Content(LocalFile(path)) as opened:
        assert opened.done == 0
