"""Results as Markdown tables on standard output, and as one JSON file."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

#: One row of a table, as the JSON file has it.
Row = Mapping[str, str | float]


def show(title: str, rows: Sequence[Row], digits: Mapping[str, int] | None = None) -> None:
    """Prints rows as a table that can be pasted into a Markdown page.

    Args:
        title: What was measured.
        rows: They have the same columns.
        digits: How many decimals a column's numbers are shown with; 0 unless said.
    """
    table = Table(box=box.MARKDOWN)
    for column in rows[0] if rows else ():
        texts = isinstance(rows[0][column], str)
        table.add_column(column, justify="left" if texts else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(value, (digits or {}).get(column, 0)) for column, value in row.items()))
    console = Console(width=200)
    console.print(f"\n{title}\n", highlight=False)
    console.print(table)


def _shown(value: str | float, digits: int) -> str:
    return value if isinstance(value, str) else f"{value:,.{digits}f}"
