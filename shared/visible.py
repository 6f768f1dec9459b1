"""Bytes and text of strangers made safe to print: a terminal must not obey what an event holds."""


def visible(text: str | bytes | None, most: int | None = None) -> str:
    r"""Text in which whatever is not printable stands as an escape, such as `\x1b` or `\u202e`.

    Control characters, terminal sequences, line breaks and marks that turn the direction of writing are
    escaped; bytes that are not UTF-8 stand as `\xff`. Other text, quotes and backslashes included, stays.

    Args:
        text: Text, or bytes to be read as UTF-8; None gives an empty text.
        most: Most characters or bytes of the input to show; what is cut off is said.
    """
    whole = b"" if text is None else text
    shown = whole if most is None else whole[:most]
    left = len(whole) - len(shown)
    told = shown.decode("utf-8", "backslashreplace") if isinstance(shown, bytes) else shown
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in told)
    return safe if not left else f"{safe}... and {left:,} more"
