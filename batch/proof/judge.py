"""The judge: what became of each event of a partition, window by window. Pure, but for a clock.

Each event is scored again by columns, as the batch path does, with the very model that is stamped on its
answer; the prediction that it should have is written as the stream writes it, and compared as bytes.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.proof.assigned import assign
from batch.proof.certificate import PartitionDigest
from batch.proof.classes import CODES, Found
from batch.proof.examples import Examples
from batch.proof.judged import Judged
from batch.proof.matching import Matched, matched
from batch.proof.models import Models
from batch.proof.order import KeyOrder
from batch.proof.result import PartitionLedger
from batch.proof.tally import Counts, Tally
from batch.proof.verdicts import WindowVerdicts
from batch.proof.window import Window
from shared.sampling import Sample

# An event of another class is out of order or misplaced, too, and is told as what is worse.
_WELL: Final = [CODES[Found.IDENTICAL], CODES[Found.NOT_SAMPLED]]
_ANSWERED: Final = [*_WELL, CODES[Found.REJECTED_ALIKE], CODES[Found.OUT_OF_ORDER]]


class PartitionJudge:
    """Judges the windows of one partition, in order.

    Args:
        models: The models at hand.
        topics: By role (events, predictions, dead-letters) the topic.
        sample: The share of events that are scored, drawn by their positions.
        examples: How many events to tell of each class in which something is wrong.
        clock: Seconds, for the pace of the batch path.
    """

    def __init__(
        self,
        models: Models,
        topics: Mapping[str, str],
        *,
        sample: float = 1.0,
        examples: int = 3,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._models, self._clock = models, clock
        self._sample = Sample(sample)
        self._newest = models.first
        self._order, self._digest = KeyOrder(), PartitionDigest()
        self._counts, self._examples = Counts(), Examples(topics, examples)
        self._seconds = 0.0

    def judge(self, window: Window) -> Judged:
        """Judges the next window."""
        found = matched(window)
        judged = self._verdicts(found)
        late = self._out_of_order(found)
        judged.codes[late & np.isin(judged.codes, _WELL)] = CODES[Found.OUT_OF_ORDER]
        elsewhere = found.answers.any_misplaced()
        judged.codes[elsewhere & np.isin(judged.codes, _ANSWERED)] = CODES[Found.MISPLACED]
        self._digest.add(judged)
        self._counts.add(judged)
        self._examples.add(judged)
        return judged

    def tally(
        self, partition: int, start: int, end: int, *, replayed: int = 0, of_no_event: int = 0
    ) -> Tally:
        """What was found in all windows.

        Args:
            partition: The partition.
            start: The first offset that the proof covers.
            end: The offset after the last one.
            replayed: Dead letters that were replayed since.
            of_no_event: Answers for offsets behind all events, which are in no window.
        """
        counts = self._counts
        ledger = PartitionLedger(
            partition=partition,
            start=start,
            end=end,
            events=counts.events,
            counts=counts.classes,
            predictions=counts.predictions,
            letters=counts.letters,
            replayed=replayed,
            of_no_event=counts.of_no_event + of_no_event,
            digest=self._digest.hexdigest(),
        )
        return Tally(
            ledger=ledger,
            matrix=counts.matrix(),
            models=counts.models(self._models),
            latency=counts.latency,
            pace=counts.pace,
            examples=self._examples.all,
            scored=counts.scored,
            seconds=self._seconds,
        )

    def _verdicts(self, found: Matched) -> Judged:
        began = self._clock()
        window = found.window
        drawn = self._sample.holds(f"{window.topic}/{window.partition}", found.offsets)
        assigned = assign(self._models, found.answers, self._newest)
        judged = WindowVerdicts(self._models, found, assigned, drawn).judge()
        self._newest = assigned.newest
        self._seconds += self._clock() - began
        return judged

    def _out_of_order(self, found: Matched) -> npt.NDArray[np.bool_]:
        places = found.answers.first_places()
        return self._order.check(found.window.events.column("key"), places, found.window.later)
