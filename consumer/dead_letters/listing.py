"""`python -m consumer dead-letters list`: the letters as a table or as JSON lines, and their counts."""

import heapq
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumer.dead_letters.filters import Filter
from consumer.dead_letters.letters import Letter, Letters
from consumer.dead_letters.settings import ListSettings
from shared import logs
from shared.errors import ExitCode
from shared.moments import shown_time
from shared.progress import Meter
from shared.replay_log import Standing, read_log
from shared.settings import load
from shared.visible import visible

_TABLE_ROWS: Final = 100
_MOST_TEXT: Final = 200
# Characters of a line that no terminal bounds, and the columns that are not cut into several lines.
_WIDTH: Final = 200
_WHOLE: Final = ("time", "reason", "attempt", "replay")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: The letters cannot be read.
    """
    settings = load(ListSettings, arguments, "python -m consumer dead-letters list")
    logs.set_up(settings.log_format, settings.log_level)
    chosen = Filter.of(settings, time.time_ns() // 1_000_000)
    # In this order: a letter that is seen has what was replayed before it in the log.
    letters = Letters(settings, settings.dead_letter_topic, settings.partition)
    replayed = read_log(settings, settings.log).replayed
    summary, newest = Summary(), Newest(settings.limit or _TABLE_ROWS)
    stream = settings.as_json and settings.limit is None and not settings.summary
    with Meter("letters") as meter:
        for some in letters.read():
            meter.add(len(some), settings.dead_letter_topic, letters.share)
            for letter in some:
                if settings.input_topic in (None, letter.told.origin.topic) and chosen.takes(letter):
                    standing = replayed.standing(letter.told)
                    summary.add(letter, standing)
                    if stream:
                        print(json.dumps(as_row(letter, standing)))
                    else:
                        newest.add(letter, standing)
    summary.strangers = letters.strangers
    _show(settings, summary, newest)
    return ExitCode.DONE


class Newest:
    """The letters written last, as rows.

    Args:
        most: How many to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._order = count()
        self._kept: list[tuple[int, int, dict[str, Any]]] = []

    def add(self, letter: Letter, standing: Standing) -> None:
        """Keeps a letter, if it is among the newest so far."""
        entry = (letter.timestamp, next(self._order))
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, (*entry, as_row(letter, standing)))
        elif entry > self._kept[0][:2]:
            heapq.heapreplace(self._kept, (*entry, as_row(letter, standing)))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The letters, the oldest first."""
        return [row for *_, row in sorted(self._kept, key=lambda entry: entry[:2])]


class Summary:
    """How many letters there are, by reason and model.

    Attributes:
        strangers: How many records are no letters.
    """

    def __init__(self) -> None:
        self.strangers = 0
        self._counts: dict[tuple[str, str], Counter[Standing]] = {}

    def add(self, letter: Letter, standing: Standing) -> None:
        """Counts a letter."""
        group = (str(letter.told.reason), letter.told.model)
        self._counts.setdefault(group, Counter())[standing] += 1

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The counts, the largest first."""
        largest = sorted(self._counts.items(), key=lambda item: (-item[1].total(), item[0]))
        return [
            {
                "reason": reason,
                "model": model,
                "letters": counts.total(),
                **{str(standing): counts[standing] for standing in Standing},
            }
            for (reason, model), counts in largest
        ]

    def total(self, what: str = "letters") -> int:
        """One of the counts over all reasons and models."""
        return sum(group[what] for group in self.groups)


def as_row(letter: Letter, standing: Standing) -> dict[str, Any]:
    """A letter as it is listed; these names are a contract."""
    told = letter.told
    left_out = told.left_out
    return {
        "position": told.origin.position,
        "letter": letter.place,
        "time": shown_time(letter.timestamp),
        "event_time": shown_time(told.origin.timestamp),
        "reason": str(told.reason),
        "field": told.field,
        "detail": told.detail,
        "model": told.model,
        "attempt": told.attempt,
        "replay": str(standing),
        "bytes": left_out.bytes if left_out else len(letter.value or b""),
        "has_bytes": left_out is None,
    }


def _show(settings: ListSettings, summary: Summary, newest: Newest) -> None:
    if settings.as_json:
        if settings.summary:
            print(json.dumps({"groups": summary.groups, "not_letters": summary.strangers}, indent=2))
        elif settings.limit is not None:
            print("".join(f"{json.dumps(row)}\n" for row in newest.rows), end="")
        return
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH)
    if not settings.summary and newest.rows:
        console.print(_table(newest.rows))
        console.print()
    if summary.groups:
        console.print(_counts(summary))
    shown, total = len(newest.rows), summary.total()
    told = f"{total:,} letter{'' if total == 1 else 's'}, {summary.total('waiting'):,} waiting to be replayed"
    told += f"; the newest {shown:,} are shown" if shown < total and not settings.summary else ""
    told += f"; not letters of Tandem's: {summary.strangers:,}" if summary.strangers else ""
    console.print(f"{told}.", soft_wrap=True)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("time", "position", "reason", "field", "detail", "model", "attempt", "replay"):
        table.add_column(name, overflow="fold", no_wrap=name in _WHOLE)
    for row in rows:
        table.add_row(
            *(
                Text(visible(str(row[name]), _MOST_TEXT) if row[name] is not None else "")
                for name in ("time", "position", "reason", "field", "detail", "model", "attempt")
            ),
            _standing(row["replay"]),
        )
    return table


def _counts(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("reason")
    table.add_column("model")
    numbers = ("letters", *map(str, Standing))
    for name in numbers:
        table.add_column(name.replace("_", " "), justify="right")
    for group in summary.groups:
        table.add_row(
            Text(group["reason"]),
            Text(visible(group["model"], _MOST_TEXT)),
            *(Text(f"{group[name]:,}") for name in numbers),
        )
    return table


def _standing(standing: str) -> Text:
    style = {Standing.WAITING: "yellow", Standing.SCORED: "green"}.get(Standing(standing), "")
    return Text(standing.replace("_", " "), style=style)
