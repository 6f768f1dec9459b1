"""Words for people."""


def counted(count: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
