"""What separates the fields of a CSV file, as a command takes it."""

from typing import Annotated, Final

from pydantic import AfterValidator

_TAB: Final = "\t"


def _one_character(text: str) -> str:
    delimiter = _TAB if text in ("tab", r"\t") else text
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise ValueError("one ASCII character, other than a quote or a line break, or the word tab")
    return delimiter


#: One ASCII character, or the word tab.
Delimiter = Annotated[str, AfterValidator(_one_character)]
