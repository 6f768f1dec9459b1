"""How sending is shown while it goes on: a bar on a terminal, a line now and then elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from producer.publish import Tally
from shared.settings import color_wanted

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES: Final = 5.0


@contextmanager
def shown(total: int | None) -> Iterator[Callable[[Tally], None]]:
    """Shows progress on standard error while the block runs.

    Args:
        total: How many events there will be, if that is known.

    Yields:
        To be called with the tally, as often as it changes.
    """
    if not color_wanted():
        yield _lines(total)
        return
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
    ]
    if total is not None:
        columns += [TextColumn("left"), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("acknowledged", total=total)

        def update(tally: Tally) -> None:
            bar.update(task, completed=tally.acknowledged)

        yield update


class _Rate(ProgressColumn):
    """Events a second, of late."""

    def render(self, task: Task) -> Text:
        """The figure."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def _lines(total: int | None) -> Callable[[Tally], None]:
    next_at = time.monotonic() + _SECONDS_BETWEEN_LINES
    of_total = "" if total is None else f" of {total:,}"

    def update(tally: Tally) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            logger.info("%s%s events acknowledged", f"{tally.acknowledged:,}", of_total)
            next_at = time.monotonic() + _SECONDS_BETWEEN_LINES

    return update
