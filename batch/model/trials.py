"""Scores the same rows in every way that a run may score them, and says where a bit differs."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from batch.model.routes import ORDERS, EventRows, Route, Rows
from batch.ulps import ulps_between
from shared.models.certificate import Combination
from shared.predict import Outcome, Predictor

#: One row, few rows, on both sides of a SIMD width, and many.
SIZES: Final = (1, 2, 7, 50, 51, 4096)
THREADS: Final = (1, 2)
#: The most calls of the predictor in one combination: those of small batches would take most of
#: the time. The orders differ in which rows come first.
MOST_CALLS: Final = 64

Progress = Callable[[int, str, float], None]


@dataclass(frozen=True, slots=True)
class Scores:
    """What became of rows: a score and a decision each, NaN and false where there is none."""

    values: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, count: int) -> Self:
        """No row has a score yet."""
        return cls(np.full(count, np.nan), np.zeros(count, np.bool_))

    def enter(self, start: int, outcome: Outcome) -> None:
        """Notes what became of a batch whose first row is `start`."""
        self.values[start + outcome.rows] = outcome.scores
        self.decisions[start + outcome.rows] = outcome.decisions

    def take(self, places: npt.NDArray[np.int64]) -> "Scores":
        """The scores of the rows at some places."""
        return Scores(self.values[places], self.decisions[places])


def one_by_one(predictor: Predictor, rows: EventRows) -> Scores:
    """The reference: each row alone, as an event. NaN where the model cannot score the row."""
    scores = Scores.empty(len(rows.values))
    for row in range(len(rows.values)):
        scores.enter(row, rows.score(predictor, row, row + 1))
    return scores


def try_all(
    predictor: Predictor, routes: Sequence[Route], reference: Scores, progress: Progress
) -> Iterator[Combination]:
    """Scores rows in every combination of size, order, route and threads.

    Args:
        predictor: What scores.
        routes: The same rows by each way in.
        reference: What each of the rows scores alone.
        progress: Told of the rows done, of what is being done, and of the share that is done.

    Yields:
        For each combination, how far its scores are from the reference.
    """
    ways = len(routes) * len(ORDERS) * len(SIZES) * len(THREADS)
    done = 0
    for route, (order, arrange) in product(routes, ORDERS.items()):
        # Enough rows for a whole batch of the largest size: a small sample is gone through again.
        places = np.resize(arrange(len(route.places)), max(len(route.places), *SIZES))
        rows, expected = route.rows.take(places), reference.take(route.places[places])
        for size, threads in product(SIZES, THREADS):
            count = min(len(places), size * MOST_CALLS)
            runs = _score(predictor, rows, size, count, threads)
            done += 1
            progress(count * threads, f"{route.name}, {order}, batches of {size:,}", done / ways)
            yield _compared(expected.take(np.arange(count)), runs, size, order, route.name)


def _score(predictor: Predictor, rows: Rows, size: int, count: int, threads: int) -> list[Scores]:
    """The scores that each thread gets; all begin at once, every second one from the other end."""
    ready = threading.Barrier(threads)

    def run(number: int) -> Scores:
        scores = Scores.empty(count)
        starts = range(0, count, size)
        ready.wait()
        for start in starts if number % 2 == 0 else reversed(starts):
            scores.enter(start, rows.score(predictor, start, min(start + size, count)))
        return scores

    if threads == 1:
        return [run(0)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def _compared(expected: Scores, runs: Sequence[Scores], size: int, order: str, route: str) -> Combination:
    """How far the scores of a combination are from what is expected; of several threads, all together."""
    different = rejected = flipped = ulps = 0
    for found in runs:
        lost = np.isnan(found.values)
        apart = ~lost & (found.values.view(np.int64) != expected.values.view(np.int64))
        different += int(apart.sum())
        rejected += int(lost.sum())
        flipped += int((~lost & (found.decisions != expected.decisions)).sum())
        ulps = max(ulps, int(ulps_between(found.values[apart], expected.values[apart]).max(initial=0)))
    return Combination(
        size=size,
        order=order,
        route=route,
        threads=len(runs),
        rows=len(expected.values) * len(runs),
        different=different,
        rejected=rejected,
        flipped=flipped,
        max_ulps=ulps,
    )
