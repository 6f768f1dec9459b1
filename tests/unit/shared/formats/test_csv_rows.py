"""The scan for rows sees CSV text exactly as Arrow's parser does."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import InputError
from shared.files import read_file
from shared.formats import csv_rows
from shared.formats.csv_parse import RowParser
from shared.formats.csv_rows import RowEnds, spans
from shared.schema import Reason

PIECES = [b"a", b'"', b'""', b",", b";", b"\n", b"\r\n", b"\r", b" ", b"\xef\xbb\xbf"]


def ends_by_letter(text: bytes, delimiter: bytes) -> list[int]:
    """Where rows end that are followed by something, one byte at a time."""
    ends, begun, quoted, place = [], False, False, 0
    while place < len(text):
        byte = text[place : place + 1]
        if quoted:
            if byte == b'"' and text[place + 1 : place + 2] == b'"':
                place += 1
            elif byte == b'"':
                quoted = False
        elif byte == b'"' and not begun:
            quoted = begun = True
        elif byte in (b"\n", b"\r"):
            place += text[place : place + 2] == b"\r\n"
            begun = False
            ends.append(place + 1)
        else:
            begun = byte != delimiter
        place += 1
    return ends


@settings(deadline=None, max_examples=300)
@example(text=b'"a\n"b",c\n', delimiter=",")
@example(text=b'a "b\n" c\n', delimiter=",")
@given(text=st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join), delimiter=st.sampled_from(",; "))
def test_rows_end_where_a_look_at_every_byte_says(text: bytes, delimiter: str) -> None:
    ends, expected = RowEnds(delimiter), ends_by_letter(text, delimiter.encode())
    # What follows a last carriage return alone is not known yet.
    known = [end for end in expected if end < len(text) or not text.endswith(b"\r")]
    assert ends.last(text) == max(known, default=0)
    whole = text[: ends.last(text)]
    assert ends.all(whole).tolist() == known


@settings(deadline=None, max_examples=300)
@given(text=st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))
def test_arrow_finds_the_same_rows(text: bytes) -> None:
    ends = RowEnds(",")
    block = text[: ends.last(text)]
    starts, after = spans(block, ends.all(block))
    parsed = RowParser(2, {0: "a", 1: "b"}, ",").parse(block)
    assert parsed.total == len(starts)
    assert np.concatenate([parsed.places, parsed.ragged]).tolist() == [*parsed.places, *parsed.ragged]
    for place, width in zip(parsed.ragged.tolist(), parsed.widths, strict=True):
        alone = RowParser(2, {0: "a"}, ",").parse(block[starts[place] : after[place]])
        assert list(alone.widths) == [width]


def test_a_row_may_be_as_long_as_the_limit_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(csv_rows, "LONGEST_ROW", 50_000)
    path = tmp_path / "a.csv"
    for before in range(0, 3000, 700):
        path.write_bytes(b"a\n" + b"x\n" * (before // 2) + b"y" * 50_000 + b"\n")
        assert sum(len(chunk.rows) for chunk in read_file(path)) == before // 2 + 1
        path.write_bytes(b"a\n" + b"x\n" * (before // 2) + b"y" * 50_001 + b"\n")
        with pytest.raises(InputError, match=f"data row {before // 2} is longer than"):
            list(read_file(path))


def test_a_quote_that_is_open_at_the_end_is_an_error_after_all_rows_before_it(tmp_path: Path) -> None:
    for tail in (b'"', b'"x', b'"x\n', b'"x\ny\n', b'a,"'):
        path = tmp_path / "a.csv"
        path.write_bytes(b"a\n1\n2\n" + tail)
        rows = []
        with pytest.raises(InputError, match="data row 2, is never closed"):  # noqa: PT012 - what came before
            for chunk in read_file(path):
                rows += chunk.rows.tolist()
        assert rows == [0, 1]


def test_refused_rows_come_no_more_at_a_time_than_others(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1\n" * 1000)
    sizes = [len(chunk.rejections) for chunk in read_file(path, batch_rows=300)]
    assert sizes == [300, 300, 300, 100]


def test_text_that_is_odd_but_utf8_is_kept_beside_text_that_is_none(tmp_path: Path) -> None:
    """Characters that mean nothing, and byte order marks inside the file."""
    kept = ["\ufdd0", "\ufeff", "\x00", "é\u2028", "\U0010ffff"]
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"a,b\n" + b"".join(text.encode() + b",1\n" for text in kept) + b"\xff,1\n\xef\xbb\xbf,2\n"
    )
    (chunk,) = read_file(path)
    assert chunk.batch is not None
    assert chunk.batch.column(0).to_pylist() == [*kept, "\ufeff"]
    assert [(item.row, item.reason) for item in chunk.rejections] == [(5, Reason.INVALID_UTF8)]
