"""What a consumer shows on a terminal while it works: a few lines of figures, below those of its log.

They are the figures of the live page, drawn once a second from the same state. What is logged meanwhile
scrolls above them; at the end they stay as they were last.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from consumer import report
from consumer.web.state import PERIOD, Sentinel, Shadow, State, Swap, Worker
from shared import logs
from shared.progress import say_above
from shared.visible import visible
from shared.wording import counted, digits, duration, part

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

logger = logging.getLogger("consumer")

#: A line: what it tells of, what it says, and whether that is well.
Line = tuple[str, str, bool]

_NAMES: Final = 14
# Of a low terminal so many rows are left to the log.
_FOR_THE_LOG: Final = 4
_CHUNK: Final = 1 << 16
_MOST_REASONS: Final = 4
# Seconds for the last figures to be drawn.
_PATIENCE: Final = 3.0


def lines_of(state: State, address: str | None = None) -> list[Line]:
    """A state as lines, the most important first: a low terminal shows no more than the first ones.

    Args:
        state: The consumer at one moment.
        address: Where the live page is; None where there is none.
    """
    about = state.about
    up = f"group {about.group}, {about.guarantee}, up {duration(round(max(0.0, state.at - about.started)))}"
    return [
        ("ready" if state.ready else "not ready", up, state.ready),
        *(("", told, False) for told in map(_why, state.workers) if told),
        *([("live page", address, True)] if address else []),
        *figures_of(state),
    ]


def figures_of(state: State) -> list[Line]:
    """The part of a state that is worth keeping when the consumer ends, as lines.

    Args:
        state: The consumer at one moment.
    """
    latency = state.latency
    lines = [
        ("events/s", digits(round(state.rate, 1)) if state.rate is not None else "not known yet", True),
        ("latency", _latency(latency.p50, latency.p99, latency.seconds), True),
        ("lag", _lag(state), True),
        *_ledger(state),
        *_models(state),
    ]
    if state.shadow is not None:
        lines.append(("", _shadow(state.shadow), state.shadow.running))
    if state.sentinel is not None:
        lines.append(("sentinel", _sentinel(state.sentinel), not state.sentinel.disagreements))
    if state.proof is not None:
        lines.append(("proof", state.proof.headline, state.proof.holds))
    return lines


def _why(worker: Worker) -> str:
    return "" if worker.ready else f"worker {worker.number}: {'; '.join(worker.why)}"


def _latency(p50: float | None, p99: float | None, seconds: float) -> str:
    if p50 is None or p99 is None:
        return f"no event for {duration(round(seconds))}" if seconds else "not known yet"
    return f"p50 {duration(p50)}, p99 {duration(p99)} over {duration(round(seconds))}"


def _lag(state: State) -> str:
    if not state.partitions:
        return "not known yet"
    over = counted(len(state.partitions), "partition")
    return f"{state.lag:,} over {over}" if state.lag is not None else f"not known of all of {over}"


def _ledger(state: State) -> Iterator[Line]:
    ledger = state.ledger
    verdict = "it balances" if ledger.balanced else "it DOES NOT BALANCE"
    told = f"{ledger.read:,} read = {ledger.scored:,} scored + {ledger.rejected:,} rejected: {verdict}"
    yield "ledger", told, ledger.balanced
    most = sorted(ledger.reasons.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in most[:_MOST_REASONS])
    more = f" and {counted(len(most) - _MOST_REASONS, 'more reason')}" if len(most) > _MOST_REASONS else ""
    yield "dead letters", f"{ledger.rejected:,}{': ' if reasons else ''}{reasons}{more}", True


def _models(state: State) -> Iterator[Line]:
    for model in state.models:
        name = "model" if model.role == "champion" else model.role
        last = next((swap for swap in state.swaps if swap.role in (model.role, None)), None)
        told = f"{model.name}@{model.version} ({model.kind}, sha256 {model.sha256}){_since(last, state.at)}"
        yield name, told, last is None or last.what != "refused"


def _since(swap: Swap | None, at: float) -> str:
    if swap is None or swap.what == "started":
        return ""
    told = "swapped in" if swap.what == "swapped" else "another was refused"
    return f", {told} {duration(round(max(0.0, at - swap.at)))} ago"


def _shadow(shadow: Shadow) -> str:
    both = shadow.agreed + shadow.raised + shadow.lowered
    told = "nothing to compare yet"
    if both:
        told = (
            f"agrees on {part(shadow.agreed, both)} of {counted(both, 'event')}:"
            f" {shadow.raised:,} true for it alone, {shadow.lowered:,} for the model alone"
        )
    return told if shadow.running else f"switched off after {counted(shadow.failures, 'failure')}; {told}"


def _sentinel(sentinel: Sentinel) -> str:
    found = ", ".join(f"{count:,} {kind}" for kind, count in sentinel.disagreements.items())
    again = f"{counted(sentinel.events, 'event')} scored again"
    return f"{again}: {f'DISAGREES: {found}' if found else 'no disagreement'}"


class Screen:
    """The figures on a terminal, drawn again every second; leave it through `with`.

    Args:
        console: The terminal.
        look: Gives the state; called on a thread of the screen's own.
        last: Gives it when all is done.
        address: Where the live page is; None where there is none.
        period: Seconds from one look to the next.
    """

    def __init__(
        self,
        console: "Console",
        look: Callable[[], State],
        last: Callable[[], State],
        address: str | None = None,
        *,
        period: float = PERIOD,
    ) -> None:
        # Loaded for a terminal only.
        from rich.live import Live  # noqa: PLC0415

        self._console = console
        self._look = look
        self._last = last
        self._seen: State | None = None
        self._address = address
        self._period = period
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._draw_on, name="screen", daemon=True)
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        # Left where it is seen: a process that is killed, or ends itself at once, could not bring it back.
        self._console.show_cursor(True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        # A terminal that stands still (Ctrl-S) takes nothing: the end does not wait for it.
        self._thread.join(_PATIENCE)

    def _closing(self) -> State:
        """The state at the end; of processes that are gone by then, what they had is told as it was."""
        last, seen = self._last(), self._seen
        if last.partitions or seen is None:
            return last
        return last.model_copy(
            update={name: getattr(seen, name) for name in ("partitions", "lag", "models", "rate")}
        )

    def say(self, line: str) -> None:
        """Prints a line of the log above the figures; any thread may."""
        say_above(self._console, line)

    def _draw_on(self) -> None:
        with self._enduring():
            while not self._ending.is_set():
                self._seen = self._look()
                figures = _Figures(lines_of(self._seen, self._address), self._console)
                self._live.update(figures, refresh=True)
                self._ending.wait(self._period)
        self._ending.wait()
        with self._enduring():
            self._live.stop()
            self._console.print(_Figures(figures_of(self._closing())), soft_wrap=True)

    @contextmanager
    def _enduring(self) -> Iterator[None]:
        """Whatever becomes of the figures, the work goes on."""
        try:
            yield
        except Exception:
            logger.exception("The figures on the terminal are given up")


class _Figures:
    """Lines that are cut at the terminal's edge, and no more of them than it has room for.

    Args:
        lines: Which.
        room: The terminal that they keep to; None shows all of everything.
    """

    def __init__(self, lines: list[Line], room: "Console | None" = None) -> None:
        self._lines = lines
        self._room = room

    def __rich_console__(self, console: "Console", _: object) -> "Iterator[RenderableType]":
        lines = self._lines
        if self._room is not None:
            # Apart from the log by an empty line, where there is room for one.
            lines = [("", "", True), *lines] if self._room.height > len(lines) + _FOR_THE_LOG else lines
            lines = lines[: max(1, self._room.height - _FOR_THE_LOG)]
        for line in lines:
            # One column stays free: a terminal may go on to the next row when the last one is filled.
            yield _drawn(line, None if self._room is None else console.width - 1)


def _drawn(line: Line, width: int | None) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    name, told, well = line
    calm = "green" if name == "ready" else "dim"
    text = Text.assemble(
        (f"{name:<{_NAMES}}", calm if well else "bold yellow"),
        (visible(told), "" if well else "yellow"),
        no_wrap=True,
        overflow="ignore",
    )
    if width is not None:
        text.truncate(max(1, width), overflow="ellipsis")
    return text


@contextmanager
def shown(look: Callable[[], State], last: Callable[[], State], address: str | None) -> Iterator[int]:
    """Shows a consumer's figures for as long as the block runs, and its log's lines above them.

    Args:
        look: Gives the state, once a second.
        last: Gives it at the end.
        address: Where the live page is; None where there is none.

    Yields:
        A file to give to processes as their standard error: its lines come above the figures, too.
    """
    from rich.console import Console  # noqa: PLC0415

    with ExitStack() as stack:
        screen = stack.enter_context(Screen(Console(stderr=True, highlight=False), look, last, address))
        stack.enter_context(logs.told_to(screen.say))
        stack.enter_context(report.quiet())
        yield stack.enter_context(_heard(screen.say))


@contextmanager
def _heard(say: Callable[[str], None]) -> Iterator[int]:
    """A pipe whose lines are said; all that was written by the end of the block is."""
    reading, writing = os.pipe()
    thread = threading.Thread(target=_listen, args=[reading, say], name="screen-log", daemon=True)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        # A process that outlives its supervisor may hold it open: what it says is not waited for.
        thread.join(1.0)


def _listen(reading: int, say: Callable[[str], None]) -> None:
    begun = b""
    with suppress(OSError):
        while said := os.read(reading, _CHUNK):
            *whole, begun = (begun + said).split(b"\n")
            for line in whole:
                say(line.decode("utf-8", "replace"))
    if begun:
        say(begun.decode("utf-8", "replace"))
    os.close(reading)
