"""What each of the consumer's options costs: CPU time and rate, beside the consumer without it, in turn."""

import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.contenders import EXACTLY_ONCE
from tests.benchmarks.measure import Run, run, typical
from tests.benchmarks.model import INTERCEPT
from tests.benchmarks.report import Row, show
from tests.benchmarks.workload import consumer_options, delete_topics, output_topics, preload, write_model

_TRACE: Final = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
_IDLE_SECONDS: Final = "2"


@dataclass(frozen=True, slots=True)
class Option:
    """A way to run the consumer.

    Attributes:
        title: What the table calls it.
        words: What is added to the command.
        traced: Whether each event has a trace context, which its prediction passes on.
        workers: How many processes there are.
        viewers: How many pages are open.
    """

    title: str
    words: tuple[str, ...] = ()
    traced: bool = False
    workers: int = 1
    viewers: int = 0


# Of a path in `words`, {model} and {topic} are filled in.
PLAIN: Final = Option("as it is")
OPTIONS: Final = (
    PLAIN,
    Option("--no-http: no metrics either", ("--no-http",)),
    Option("--page off", ("--page", "off")),
    Option("--page figures", ("--page", "figures")),
    Option("a page open", viewers=1),
    Option("five pages open", viewers=5),
    Option("trace context in every event's headers", traced=True),
    Option("--explain 3", ("--explain", "3")),
    Option("--shadow", ("--shadow", "{shadow}", "--shadow-topic", "{topic}-shadow")),
    Option("--watch-model 1", ("--watch-model", "1")),
    Option("--workers 2", ("--workers", "2"), workers=2),
)


def _run(bootstrap: str, source: str, count: int, option: Option, folder: Path) -> Run:
    with output_topics(bootstrap, "option") as target:
        command = consumer_options(bootstrap, source, target, folder / "model", EXACTLY_ONCE)
        command += [word.format(shadow=folder / "shadow", topic=target) for word in option.words]
        command += ["--max-events", str(count)] if option.workers == 1 else ["--until-idle", _IDLE_SECONDS]
        with _pages(option.viewers) as words:
            return run(["-m", "consumer", *command, *words], count)


@contextmanager
def _pages(viewers: int) -> Iterator[list[str]]:
    """Opens pages of a consumer, which learns its port from these words, as soon as it is there."""
    if not viewers:
        yield []
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    over = threading.Event()
    received = [0] * viewers
    with ExitStack() as stack:
        for viewer in range(viewers):
            thread = threading.Thread(target=_look, args=(port, over, received, viewer))
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        yield ["--http-port", str(port)]
    if not all(received):
        raise RuntimeError(f"Of {viewers} pages, {received.count(0)} were never answered.")


def _look(port: int, over: threading.Event, received: list[int], viewer: int) -> None:
    """Reads a page's stream to its end, as fast as it comes."""
    while not over.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /page/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            while part := client.recv(1 << 16):
                received[viewer] += len(part)
        time.sleep(0.01)


def measure(bootstrap: str, count: int, rounds: int) -> dict[Option, Run]:
    """Every option in turn, `rounds` times; the median of each."""
    plain, traced = preload(bootstrap, count), preload(bootstrap, count, _TRACE)
    runs: dict[Option, list[Run]] = {option: [] for option in OPTIONS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        write_model(folder / "shadow", INTERCEPT + 0.05)
        # What runs first after the events were written is slower, whatever it is.
        _run(bootstrap, plain, count, PLAIN, folder)
        for _ in range(rounds):
            for option, results in runs.items():
                source = traced if option.traced else plain
                results.append(_run(bootstrap, source, count, option, folder))
    delete_topics(bootstrap, plain, traced)
    return {option: typical(results) for option, results in runs.items()}


def main(bootstrap: str, counts: Sequence[int], rounds: int) -> list[Row]:
    """Measures and prints; the rows of all tables."""
    told: list[Row] = []
    for count in counts:
        results = measure(bootstrap, count, rounds)
        plain = results[PLAIN]
        rows: list[Row] = [
            {
                "option": option.title,
                "events/s": result.events_per_second,
                "rate, % more": 100 * (result.events_per_second / plain.events_per_second - 1),
                "CPU s a million": result.cpu_seconds / count * 1e6,
                "CPU, % more": 100 * (result.cpu_seconds / plain.cpu_seconds - 1),
                "peak MiB": result.peak_mib,
            }
            for option, result in results.items()
        ]
        title = f"Options: {count:,} preloaded events, exactly-once; medians of {rounds} runs in turn"
        show(title, rows, {"rate, % more": 1, "CPU s a million": 1, "CPU, % more": 1})
        told += [{"events": count, **row} for row in rows]
    return told
