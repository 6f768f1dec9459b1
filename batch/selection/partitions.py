"""`--partition-by`: folders `plan=pro/churn=true` of the rows with these values, as Hive has them.

The columns of the folders' names are not in the files: most readers take them from the names, and some refuse
a file that holds them too.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from shared.errors import ConfigurationError, InputError

#: The folder of rows without a value. An empty text shares it, as in Hive, and so does this very text.
NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
#: Each folder gets a file of each part; more than so many are no partition but an index.
MOST_FOLDERS: Final = 1_000
_LONGEST_NAME: Final = 255
_ESCAPED: Final = re.compile(r"""[\x00-\x1f"#%'*/:=?\\\x7f{\[\]^]""")
# Where two values differ in nothing else: capital letters and those outside of ASCII, too.
_ESCAPED_APART: Final = re.compile(f"{_ESCAPED.pattern}|[A-Z\x80-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Share:
    """The rows of one folder.

    Attributes:
        folder: Its name: `plan=pro/churn=true`.
        values: The text of each value by column; None where there is none.
        rows: The rows in order, without the columns that the name holds.
    """

    folder: str
    values: dict[str, str | None]
    rows: pa.Table


def check_columns(names: Sequence[str], schema: pa.Schema) -> None:
    """Sees that predictions can be parted by some of their columns.

    Args:
        names: The columns to part them by.
        schema: The columns of the predictions.

    Raises:
        ConfigurationError: One is not among them, or its type suits no folder's name.
    """
    for name in names:
        if name not in schema.names:
            raise ConfigurationError(
                f"--partition-by {name}: the predictions have no column of that name",
                hint=f"Pass it through with --columns {name}. They have: {', '.join(schema.names)}.",
            )
        kind = schema.field(name).type
        suited = (pt.is_string, pt.is_integer, pt.is_boolean, pt.is_date)
        if not any(is_suited(kind) for is_suited in suited):
            raise ConfigurationError(
                f"--partition-by {name}: its type is {kind}, which makes no names of folders",
                hint="Part the predictions by columns of texts, whole numbers, booleans or dates.",
            )
    if len(set(names)) < len(names) or len(names) == len(schema.names):
        raise ConfigurationError(
            f"--partition-by {','.join(names)}: a column is named twice, or none is left for the files",
            hint="Name each column once.",
        )


def shares_of(rows: pa.Table, names: Sequence[str]) -> list[Share]:
    """The rows of each folder, the folders by name.

    Args:
        rows: The rows of one part.
        names: The columns to part them by.

    Raises:
        InputError: There are too many folders, or a value is too long for a name.
    """
    texts = [_texts(rows.column(name)) for name in names]
    coded = [text.combine_chunks().dictionary_encode(null_encoding="encode") for text in texts]
    keys = np.zeros(rows.num_rows, np.int64)
    for column in coded:
        codes = column.indices.to_numpy()
        # Counted anew for each column, so that no product of their numbers overflows.
        keys = np.unique(keys * np.int64(len(column.dictionary)) + codes, return_inverse=True)[1]
    _, firsts, of_row = np.unique(keys, return_index=True, return_inverse=True)
    if len(firsts) > MOST_FOLDERS:
        raise InputError(
            f"--partition-by {','.join(names)}: a part of {rows.num_rows:,} rows has {len(firsts):,}"
            f" different values, more than the {MOST_FOLDERS:,} folders that it may be spread over",
            hint="Part the predictions by columns of fewer values, or give smaller parts: --part-rows.",
        )
    order = np.argsort(of_row, kind="stable")
    levels = [_levels(name, column.dictionary) for name, column in zip(names, coded, strict=True)]
    ends = np.cumsum(np.bincount(of_row, minlength=len(firsts)))
    kept = rows.drop_columns(list(names))
    shares = []
    for share, first in enumerate(firsts.tolist()):
        values = {name: column[first].as_py() for name, column in zip(names, coded, strict=True)}
        begin = ends[share - 1] if share else 0
        folder = "/".join(level[value] for level, value in zip(levels, values.values(), strict=True))
        shares.append(Share(folder, values, kept.take(pa.array(order[begin : ends[share]]))))
    return sorted(shares, key=lambda share: share.folder)


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = column.cast(pa.string())
    nothing = pc.is_in(text, pa.array(["", NO_VALUE]))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), text)


def _levels(name: str, values: pa.Array) -> dict[str | None, str]:
    """The name of the folder of each value of a column, no two of them alike to a disk that ignores case."""
    texts = values.to_pylist()
    seen = Counter(_without_case(text) for text in texts if text is not None)
    levels = {}
    for text in texts:
        if text is None:
            shown = NO_VALUE
        else:
            shown = _escape(text, _ESCAPED if seen[_without_case(text)] == 1 else _ESCAPED_APART)
        levels[text] = level = f"{escaped(name)}={shown}"
        if len(level.encode()) > _LONGEST_NAME:
            raise InputError(
                f"--partition-by: the folder {level[:60]}… has a name of {len(level.encode()):,} bytes",
                hint=f"A name has at most {_LONGEST_NAME}: part the predictions by another column.",
            )
    return levels


def _without_case(text: str) -> str:
    """The same for two names that a disk may take for one: some ignore case, and how an accent is put."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def values_in(file: str) -> dict[str, str | None]:
    """What the names of a file's folders say: the text of each value by column.

    Args:
        file: Its path in the folder of results: `plan=pro/churn=true/part-00000-0000.parquet`.
    """
    pairs = (level.partition("=")[::2] for level in file.split("/")[:-1])
    return {unquote(name): None if value == NO_VALUE else unquote(value) for name, value in pairs}


def escaped(text: str) -> str:
    """A column's name or value as Hive writes it in the name of a folder."""
    return _escape(text, _ESCAPED)


def _escape(text: str, pattern: re.Pattern[str]) -> str:
    return pattern.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)
