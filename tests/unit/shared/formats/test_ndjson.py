"""Lines of any length, blank ones among them, wherever blocks end."""

from pathlib import Path

import pytest

from shared.events import MAX_EVENT_BYTES
from shared.files import read_file
from shared.formats import content, ndjson
from shared.formats.base import RAW
from shared.schema import Reason
from tests.support.splits import check_splits, originals


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_line_too_long_is_rejected_wherever_it_stands(tmp_path: Path, ending: bytes) -> None:
    """Within a block or over several, after lines that fill the block to any byte."""
    path = tmp_path / "a.ndjson"
    for before in (1, 3_000_000, 4_194_290):
        for size in (MAX_EVENT_BYTES, MAX_EVENT_BYTES + 1, 5_000_000):
            path.write_bytes(b"y" * (before - 1) + b"\n\n" + b"x" * size + ending + b"2")
            refused = [item for chunk in read_file(path, skip=1) for item in chunk.rejections]
            if size == MAX_EVENT_BYTES:
                assert refused == []
                continue
            long = int(before > 1)
            assert [(item.row, item.reason) for item in refused] == [(long, Reason.TOO_LARGE)][1 - long :]
            assert all(f"{size:,} bytes" in item.detail for item in refused)
            assert originals(path, [long]) == [{RAW: b"x" * MAX_EVENT_BYTES}]


def test_blank_lines_of_any_length_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "SPLIT_BYTES", 1_500_000)
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\xef\xbb\xbf \t\n1\n" + b" " * 5_000_000 + b"\r\n2\n" + b"\t" * 2_000_000)
    assert [line for chunk in read_file(path) for line in chunk.values or ()] == [b"1", b"2"]
    assert [item for chunk in read_file(path) for item in chunk.rejections] == []
    assert check_splits(path) == 2


def test_no_more_than_a_block_is_held_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "_BLOCK_BYTES", 2 * MAX_EVENT_BYTES)
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"x" * (20 * MAX_EVENT_BYTES))
    (chunk,) = (chunk for chunk in read_file(path) if chunk.rejections)
    assert f"{20 * MAX_EVENT_BYTES:,} bytes" in chunk.rejections[0].detail
