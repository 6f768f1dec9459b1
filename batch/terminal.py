"""Tables on a terminal."""

from typing import Final

from rich.console import Console
from rich.table import Table

# The longest line of a table, in characters.
_WIDEST: Final = 1_000


def print_whole(console: Console, table: Table) -> None:
    """Prints a table of which nothing is cut off: lines too long for the terminal are wrapped by it.

    Args:
        console: Where to; it becomes as wide as the table needs.
        table: The table.
    """
    wide = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    console.width = max(console.width, wide)
    console.print(table)
