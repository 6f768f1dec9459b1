"""A replay for people, on a terminal."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.replaying.result import Affected, Flips, Replay
from batch.replaying.verdict import Tone, tone, verdict
from batch.terminal import print_whole
from shared.visible import visible
from shared.wording import digits, percent, signed

_STYLES: Final[dict[Tone, str]] = {"same": "green", "changed": "yellow", "nothing to compare": "red"}


def show(replay: Replay, top: int, console: Console | None = None) -> None:
    """Prints a replay.

    Args:
        replay: What was found.
        top: How many segments to show.
        console: Where to; standard output unless given.
    """
    console = console or Console(highlight=False)
    for name, text in (
        ("history", f"{replay.source}, {replay.events:,} events, {replay.compared:,} with both decisions"),
        ("before", replay.before),
        ("after", replay.after),
    ):
        console.print(Text(f"{name:<8}{visible(text)}", style="dim"), soft_wrap=True)
    segments = most_flipped(replay, top)
    if segments:
        print_whole(console, _segments(segments, replay.all))
    if replay.affected:
        print_whole(console, _affected(replay.affected))
    if replay.newly_rejected or replay.newly_scored:
        print_whole(console, _rejected(replay))
    for note in replay.notes:
        console.print(Text(visible(note), style="yellow"), soft_wrap=True)
    console.print(Text(verdict(replay), style=_STYLES[tone(replay)]), soft_wrap=True)


def most_flipped(replay: Replay, top: int) -> list[Flips]:
    """The segments in which the largest share flips, those beyond chance before all others.

    Args:
        replay: What was found.
        top: How many at most.
    """
    flipped = [flips for flips in replay.segments if flips.flipped]
    told = sorted(flipped, key=lambda flips: (not _above(flips, replay.all), -flips.share))
    return told[:top]


def _above(flips: Flips, total: Flips) -> bool:
    return flips.beyond_chance and flips.share > total.share


def _segments(segments: list[Flips], total: Flips) -> Table:
    table = Table(box=None, pad_edge=False, title="Segments that flip most", title_justify="left")
    table.add_column("input")
    table.add_column("segment")
    for column in ("flips", "of events", "flipped", "to true", "to false", "mean change"):
        table.add_column(column, justify="right")
    table.add_column("beyond chance")
    for flips in segments:
        table.add_row(
            Text(visible(flips.feature)),
            Text(visible(flips.segment)),
            percent(flips.share),
            f"{flips.events:,}",
            f"{flips.flipped:,}",
            f"{flips.raised:,}",
            f"{flips.lowered:,}",
            signed(flips.mean_change),
            Text("yes", style="red") if _above(flips, total) else "",
        )
    table.add_row(
        Text("all", style="bold"),
        "",
        percent(total.share),
        f"{total.events:,}",
        f"{total.flipped:,}",
        f"{total.raised:,}",
        f"{total.lowered:,}",
        signed(total.mean_change),
        "",
    )
    return table


def _affected(affected: list[Affected]) -> Table:
    table = Table(box=None, pad_edge=False, title="Customers most affected", title_justify="left")
    for column in ("customer", "event"):
        table.add_column(column)
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right")
    table.add_column("decision becomes")
    for one in affected:
        table.add_row(
            Text(visible(one.customer)),
            Text(visible(one.position)),
            digits(one.before),
            digits(one.after),
            signed(one.after - one.before),
            str(one.decision).lower(),
        )
    return table


def _rejected(replay: Replay) -> Table:
    table = Table(box=None, pad_edge=False, title="Without both decisions", title_justify="left")
    table.add_column("")
    table.add_column("events", justify="right")
    for reason, count in replay.newly_rejected.items():
        table.add_row(Text(f"rejected by the tried model only: {reason}"), f"{count:,}")
    if replay.newly_scored:
        table.add_row("scored by the tried model only", f"{replay.newly_scored:,}")
    return table
