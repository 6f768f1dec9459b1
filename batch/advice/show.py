"""An advice for people, on a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.advice.result import Advice, CadenceResult
from batch.proof.result import Histogram
from batch.terminal import print_whole
from shared.wording import counted, digits, duration, percent, price


def show(advice: Advice, console: Console | None = None) -> None:
    """Prints an advice: the cadences, the recommendation, and the figures behind it.

    Args:
        advice: The advice.
        console: Where to; standard output unless given.
    """
    console = console or Console(highlight=False)
    history = f"{counted(advice.events, 'event')} of {counted(advice.customers, 'customer')}"
    about = f"{advice.source}: {history}, {advice.model}"
    console.print(Text(about, style="dim"), soft_wrap=True)
    print_whole(console, _table(advice))
    console.print()
    console.print(Text(advice.recommendation, style="bold"), soft_wrap=True)
    for sentence in advice.reasons:
        console.print(Text(f"- {sentence}"), soft_wrap=True)
    for sentence in advice.notes:
        console.print(Text(f"- {sentence}", style="dim"), soft_wrap=True)


def _table(advice: Advice) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("cadence")
    for column in ("uses", "stale", "without", "age p50", "age p99", "stood p50", "stood p99", "missed"):
        table.add_column(column, justify="right")
    for column in ("runs", "CPU s/million", "CPU s/day", "held/day"):
        table.add_column(column, justify="right")
    if advice.price is not None:
        table.add_column("price/day", justify="right")
    for cadence in advice.cadences:
        best = cadence.name == advice.recommended
        table.add_row(*_cells(cadence, advice), style="bold green" if best else "")
    return table


def _cells(cadence: CadenceResult, advice: Advice) -> list[Text]:
    uses = max(1, cadence.uses)
    cells = [
        cadence.name,
        f"{cadence.uses:,}",
        percent(cadence.stale / uses),
        percent(cadence.without / uses),
        *_spread(cadence.age),
        *_spread(cadence.standing),
        f"{cadence.missed:,}",
        f"{cadence.runs:,}" if cadence.period else "-",
        digits(cadence.cpu_seconds_per_million),
        digits(cadence.cpu_seconds_per_day),
        digits(cadence.reserved_seconds_per_day) if cadence.reserved_seconds_per_day else "-",
    ]
    if advice.price is not None:
        cells.append("-" if cadence.price_per_day is None else price(cadence.price_per_day))
    return [Text(cell) for cell in cells]


def _spread(histogram: Histogram | None) -> tuple[str, str]:
    return ("-", "-") if histogram is None else (duration(histogram.p50), duration(histogram.p99))
