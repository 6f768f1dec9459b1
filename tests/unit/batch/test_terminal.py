"""Tables are printed whole, however narrow the terminal is."""

import io

from rich.console import Console
from rich.table import Table

from batch.terminal import print_whole


def test_nothing_of_a_line_is_cut_off() -> None:
    printed = io.StringIO()
    table = Table(box=None, pad_edge=False)
    cells = [f"a cell of words {place}" for place in range(9)]
    for _ in cells:
        table.add_column("")
    table.add_row(*cells)
    print_whole(Console(file=printed, width=20), table)
    assert printed.getvalue().splitlines()[-1].split("  ") == cells
