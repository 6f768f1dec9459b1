"""What a compiled record codec would give: each step's time an event, and whole runs with one in place."""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from shared.kafka.decode import RawBatch, decode_records
from shared.kafka.encode import BATCH_HEADER, encode_records
from shared.models.directory import read_model
from shared.predict import Predictor
from shared.predictions import PredictionEncoder
from tests.benchmarks.compiled import compiled_codec
from tests.benchmarks.contenders import EXACTLY_ONCE
from tests.benchmarks.measure import Run, run, typical
from tests.benchmarks.report import Row, show
from tests.benchmarks.workload import (
    consumer_options,
    delete_topics,
    event_bytes,
    output_topics,
    preload,
    write_model,
)

_EVENTS: Final = 25_000
# Events in a record batch of 16 KiB, as in the stream benchmark; and predictions in one that Tandem writes.
_READ: Final = 72
# Such record batches that are decoded together.
_TOGETHER: Final = 32
_WRITTEN: Final = 3_000
_ROUNDS: Final = 15


def _microseconds(call: Callable[[], object]) -> float:
    """Median time of a call over all events, an event."""
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return median(taken) / _EVENTS * 1e6


def steps() -> list[Row]:
    """Each step from a fetched record batch to one that is sent, alone, in microseconds an event."""
    rng = random.Random(7)  # noqa: S311 - the same events in every run
    values = [event_bytes(rng, number) for number in range(_EVENTS)]
    keys = [str(100_000 + number).encode() for number in range(_EVENTS)]
    with tempfile.TemporaryDirectory() as folder:
        predictor = Predictor(read_model(write_model(Path(folder))))
    encoder, outcome = PredictionEncoder(predictor.model), predictor.score_json(values)
    predictions = encoder.encode(outcome, "bench/0/", range(_EVENTS))
    batches = [
        RawBatch(
            bytes(
                encode_records(keys[at : at + _READ], values[at : at + _READ], None, 1).buffer[BATCH_HEADER:]
            ),
            min(_READ, _EVENTS - at),
            at,
            1,
        )
        for at in range(0, _EVENTS, _READ)
    ]

    def decode_all(decode: Callable[..., object]) -> None:
        for at in range(0, len(batches), _TOGETHER):
            decode(batches[at : at + _TOGETHER])

    def encode_all(encode: Callable[..., object]) -> None:
        for at in range(0, _EVENTS, _WRITTEN):
            part = slice(at, at + _WRITTEN)
            encode(keys[part], predictions[part], None, 1)

    rows: list[Row] = []

    def add(step: str, ours: Callable[[], object], theirs: Callable[[], object] | None = None) -> None:
        compiled = _microseconds(theirs) if theirs is not None else ""
        rows.append({"step": step, "Python, us an event": _microseconds(ours), "compiled": compiled})

    compiled = compiled_codec()
    add(
        "decode records",
        lambda: decode_all(decode_records),
        None if compiled is None else partial(decode_all, compiled.decode),
    )
    add("validate and score", lambda: predictor.score_json(values))
    add("encode predictions", lambda: encoder.encode(outcome, "bench/0/", range(_EVENTS)))
    add(
        "encode records",
        lambda: encode_all(encode_records),
        None if compiled is None else partial(encode_all, compiled.encode),
    )
    return rows


def runs(bootstrap: str, count: int, rounds: int) -> list[Row]:
    """The real consumer with its own codec and with the compiled one, in turn."""
    modules = {"its own codec, in Python": "consumer", "a compiled codec": "tests.benchmarks.compiled"}
    found: dict[str, list[Run]] = {name: [] for name in modules}
    source = preload(bootstrap, count)
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder))
        for _ in range(rounds):
            for name, module in modules.items():
                with output_topics(bootstrap, "codec") as target:
                    options = consumer_options(bootstrap, source, target, model, EXACTLY_ONCE)
                    found[name].append(run(["-m", module, *options, "--max-events", str(count)], count))
    delete_topics(bootstrap, source)
    results = {name: typical(of_name) for name, of_name in found.items()}
    return [
        {
            "Tandem with": name,
            "events/s": result.events_per_second,
            "CPU s a million": result.cpu_seconds / count * 1e6,
        }
        for name, result in results.items()
    ]


def main(bootstrap: str, counts: Sequence[int], rounds: int) -> list[Row]:
    """Measures and prints; the rows of all tables."""
    told = steps()
    digits = {"Python, us an event": 2, "compiled": 2, "CPU s a million": 1}
    show("Codec: the steps of the hot path, each alone", told, digits)
    if compiled_codec() is None:
        print("No C compiler here: what a compiled codec would give is not measured.")
        return told
    for count in counts:
        rows = runs(bootstrap, count, rounds)
        show(f"Codec: {count:,} preloaded events, exactly-once; medians of {rounds} runs", rows, digits)
        told += [{"events": count, **row} for row in rows]
    return told
