"""What scoring costs on this machine, in CPU seconds: measured with the recorded events themselves.

Both paths are measured alike: from an event or row in memory to its prediction encoded, by the batch path as
columns and by the stream as JSON. The batch path's reading and writing of files is not in that, and neither
is Kafka's reading and writing of the stream. A run's start is a real one, from the start of its process to
its end, over one row.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from batch.advice.recording import Piece, chunk_part
from batch.model.samples import events_of, with_ids
from shared.errors import InputError, TandemError
from shared.position import position_prefix
from shared.predict import Predictor
from shared.predictions import PredictionEncoder, predictions_table

T = TypeVar("T")

#: Scoring is measured for so long, in CPU seconds.
_MEASURED: Final = 0.5
#: The least of so many starts counts: others may keep the machine busy.
_STARTS: Final = 2
#: The stream scores together what comes in so many seconds.
STREAM_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Start:
    """What a run takes that has next to nothing to score.

    Attributes:
        cpu: CPU seconds.
        seconds: Seconds by the clock.
    """

    cpu: float
    seconds: float


def batch_seconds(sample: Sequence[Piece], predictor: Predictor, rows: int) -> float:
    """The CPU seconds that the batch path takes for a row.

    Args:
        sample: Rows; at least one.
        predictor: What scores them.
        rows: How many a run has.
    """

    def score(piece: Piece) -> int:
        scored = piece.source.score(predictor, piece.chunk)
        predictions_table(predictor.model, scored.outcome, scored.ids)
        return len(piece.chunk.rows)

    def pieces() -> Iterator[Piece]:
        for piece in sample:
            for begin in range(0, len(piece.chunk.rows), rows):
                yield Piece(piece.source, chunk_part(piece.chunk, begin, begin + rows))

    return _seconds_each(pieces, score)


def stream_seconds(events: Sequence[bytes | None], predictor: Predictor, together: int) -> float:
    """The CPU seconds that the stream's path takes for an event.

    Args:
        events: Their bytes; at least one.
        predictor: What scores them.
        together: How many arrive at once.
    """
    encoder, prefix = PredictionEncoder(predictor.model), position_prefix("events", 0)

    def score(values: Sequence[bytes | None]) -> int:
        outcome = predictor.score_json(values)
        encoder.encode(outcome, prefix, outcome.rows.tolist())
        return len(values)

    def batches() -> Iterator[Sequence[bytes | None]]:
        return (events[begin : begin + together] for begin in range(0, len(events), together))

    return _seconds_each(batches, score)


def events_in(sample: Sequence[Piece], predictor: Predictor) -> list[bytes | None]:
    """The events of a sample, as the stream would get them; of rows of columns, what they stand for."""
    return list(chain.from_iterable(_events_of(piece, predictor) for piece in sample))


def start_of_run(model: Path, predictor: Predictor) -> Start:
    """What it takes to start `python -m batch score`, load the model, and score one row.

    Args:
        model: The model's directory.
        predictor: That model, loaded.

    Raises:
        TandemError: The run failed.
    """
    golden = predictor.model.declaration.golden[0].event
    with TemporaryDirectory(prefix="tandem-") as name:
        row = Path(name, "row.ndjson")
        row.write_bytes(json.dumps(golden).encode() + b"\n")
        starts = [_started(row, model, Path(name, f"scored-{number}")) for number in range(_STARTS)]
    return Start(min(start.cpu for start in starts), min(start.seconds for start in starts))


def _started(row: Path, model: Path, output: Path) -> Start:
    begin, before = time.monotonic(), _children()
    done = subprocess.run(  # noqa: S603 - this program itself
        [
            *(sys.executable, "-m", "batch", "score", str(row), "--model", str(model)),
            *("--output", str(output), "--workers", "1", "--log-level", "error"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TandemError(
            f"python -m batch score, started to measure what that costs, failed: {done.stderr.strip()}",
            hint="See that it scores a row by itself; a TANDEM_ variable may be set that it heeds.",
        )
    return Start(_children() - before, time.monotonic() - begin)


def _children() -> float:
    """The CPU seconds of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _seconds_each(pieces: Callable[[], Iterator[T]], score: Callable[[T], int]) -> float:
    """The CPU seconds of one event, over as many pieces as it takes to tell.

    Args:
        pieces: The pieces to score, again from the first at each call.
        score: Scores one, and tells how many events it has.
    """
    # The first is slower: memory is new, and code not yet at hand.
    score(next(pieces()))
    spent, events = 0.0, 0
    while spent < _MEASURED:
        for piece in pieces():
            begin = time.process_time()
            events += score(piece)
            spent += time.process_time() - begin
            if spent >= _MEASURED:
                break
    return spent / events


def _events_of(piece: Piece, predictor: Predictor) -> list[bytes | None]:
    chunk = piece.chunk
    if chunk.values is not None:
        return list(chunk.values)
    recorded = piece.source.events(chunk)
    if recorded is not None:
        values: list[bytes | None] = recorded.to_pylist()
        return values
    if chunk.batch is None:
        raise InputError(f"{piece.source.name}: there are no rows to measure with")
    schema = predictor.model.schema
    rows = events_of(schema, predictor.parse_table(chunk.batch, text=chunk.text))
    return [json.dumps(event).encode() for event in with_ids(schema, rows)]
