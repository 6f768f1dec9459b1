"""Scores a share of the live events a second time, by columns, and counts where the two answers disagree.

Only events whose answer is committed are looked at. The loop hands a few of them over and goes on; a thread
of the sentinel's own scores them again (consumer/second_opinion.py) while the loop waits for the broker. It
works for a tenth of the time at most, so that no burst and no slow model makes it a burden: what it has no
time for is counted as left out. Whatever goes wrong in it is counted and logged, and ends nothing; should its
thread end all the same, what is drawn from then on counts as failed.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from consumer.loop import Telemetry
from consumer.passing_on import PassingOn
from consumer.scoring import Given, Scored, place_of
from consumer.second_opinion import Answered, Disagreement, SecondOpinion, size_of
from consumer.settings import ConsumerSettings
from shared.kafka.columns import RecordColumns
from shared.sampling import Sample

logger = logging.getLogger(__name__)

# The most events that are scored at once. A call alone costs as much as some 200 of them, so few are made.
_AT_ONCE: Final = 1_024
# The most that may wait, in events and in bytes of theirs.
_MOST_EVENTS, _MOST_BYTES = 8_192, 32 << 20
# Seconds that it works in one go, and that it rests after that at least, while more gathers.
_WORK_SECONDS, _REST_SECONDS = 0.1, 1.0
# How many times as long as it worked it rests.
_REST_TIMES: Final = 9
# Seconds to see to what waits in the end; a thread that hangs is a daemon and may be left behind.
_END_SECONDS: Final = 1.0
# Seconds between two lines of the log that tell of disagreements, or of the sentinel's own failures.
_SAY_SECONDS: Final = 10.0


class SentinelTelemetry(Telemetry, Protocol):
    """Who is told besides how the sentinel gets on (consumer/operations/telemetry.py)."""

    def sentinel_on(self) -> None:
        """There is one."""

    def sentinel_judged(self, events: int, disagreements: Mapping[str, int]) -> None:
        """So many events were scored again; so many disagree, by kind."""

    def sentinel_left_out(self, events: int, why: str) -> None:
        """So many events that were drawn were not scored again: it was `busy`, or it `failed`."""

    def sentinel_spent(self, seconds: float) -> None:
        """It took so much processor time."""


class Sentinel(PassingOn):
    """Passes on what the loop tells, and scores a share of what is committed again.

    Args:
        telemetry: Who is told besides.
        share: How many of the events to score again, above 0 and up to 1. Which ones depends on their
            position alone: the same after a restart, and in another worker.
        topic: Where predictions are published.
        dead_letter_topic: Where rejections are.
        clock: The monotonic clock, in seconds.
    """

    _telemetry: SentinelTelemetry

    def __init__(
        self,
        telemetry: SentinelTelemetry,
        share: float,
        topic: str,
        dead_letter_topic: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(telemetry)
        self._sample = Sample(share)
        self._topic = topic
        self._dead_letter_topic = dead_letter_topic
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Answered] = deque()
        self._events = self._bytes = 0
        self._opinion: SecondOpinion | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sentinel", daemon=True)
        self._ended_by: BaseException | None = None
        self._said_dead = False
        self._judged = self._disagreeing = self._left_out = 0
        self._said_at: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()
        telemetry.sentinel_on()

    # What the loop tells.

    def committed(self, batch: Sequence[Scored], polled_at: float) -> None:
        """Draws some events of a batch that is committed."""
        super().committed(batch, polled_at)
        began = time.thread_time()
        dead = self._is_dead()
        for scored in batch:
            if scored.given is not None:
                self._draw(scored, scored.given, dead=dead)
        self._telemetry.sentinel_spent(time.thread_time() - began)

    # --- drawing, on the loop's thread --------------------------------------------------------------

    def _draw(self, scored: Scored, given: Given, *, dead: bool) -> None:
        events = scored.events
        drawn = np.flatnonzero(self._sample.holds(place_of(events), _offsets_of(events)))
        if dead:
            self._leave_out(len(drawn), "failed")
            return
        rows = drawn[: self._room_for([size_of(events, row) for row in drawn.tolist()])]
        if len(rows) < len(drawn):
            self._leave_out(len(drawn) - len(rows), "busy")
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            try:
                self._hand_over(Answered.of(scored, given, some, self._topic, self._dead_letter_topic))
            except Exception as error:  # noqa: BLE001 - the predictions do not depend on it
                self._failed(len(some), error)

    def _is_dead(self) -> bool:
        """Whether the thread ended before its time; if so, says it once and gives up what waits."""
        if self._ended_by is None:
            return False
        if not self._said_dead:
            self._said_dead = True
            self._give_up("failed")
            logger.error(
                "The sentinel's thread has ended (%s: %s); no more events of this worker are scored again,"
                " and those that are drawn count as failed; predictions are not affected. Restart the worker"
                " to have them watched",
                type(self._ended_by).__name__,
                self._ended_by,
            )
        return True

    def _give_up(self, why: str) -> None:
        """Leaves out whatever waits."""
        with self._lock:
            left = self._events
            self._waiting.clear()
            self._events = self._bytes = 0
        if left:
            self._leave_out(left, why)

    def _leave_out(self, events: int, why: str) -> None:
        with self._lock:
            self._left_out += events
        self._telemetry.sentinel_left_out(events, why)

    def _room_for(self, sizes: Sequence[int]) -> int:
        """How many of some events may wait besides those that do."""
        with self._lock:
            events, room = _MOST_EVENTS - self._events, _MOST_BYTES - self._bytes
        return min(max(0, events), int(np.searchsorted(np.cumsum(sizes), room, side="right")))

    def _hand_over(self, answered: Answered) -> None:
        with self._lock:
            self._waiting.append(answered)
            self._events += len(answered)
            self._bytes += answered.size

    # --- judging, on a thread of its own ------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(_END_SECONDS + _WORK_SECONDS)
        self._say_end()

    def _run(self) -> None:
        try:
            rest = _REST_SECONDS
            while not self._ending.wait(rest):
                rest = max(_REST_SECONDS, _REST_TIMES * self._work(_WORK_SECONDS))
            self._work(_END_SECONDS)
        except BaseException as error:  # noqa: BLE001 - nobody waits for a thread: `_is_dead` tells of it
            self._ended_by = error

    def _work(self, seconds: float) -> float:
        """Judges what waits, for about so many seconds; returns how many it took."""
        began, taken = self._clock(), 0.0
        while taken < seconds and (several := self._next()):
            self._judge(several)
            taken = self._clock() - began
        return taken

    def _next(self) -> list[Answered]:
        """The next events, all scored with the same model; none when nothing waits."""
        several: list[Answered] = []
        count = 0
        with self._lock:
            while self._waiting:
                one = self._waiting[0]
                if several and (count + len(one) > _AT_ONCE or one.given.model is not several[0].given.model):
                    break
                several.append(self._waiting.popleft())
                count += len(one)
                self._events -= len(one)
                self._bytes -= one.size
        return several

    def _judge(self, several: Sequence[Answered]) -> None:
        events, began = sum(map(len, several)), time.thread_time()
        try:
            if self._opinion is None or self._opinion.model is not several[0].given.model:
                self._opinion = SecondOpinion.on(several[0])
            found = self._opinion.disagreements(several)
        except BaseException as error:  # noqa: BLE001 - a panic in a library's Rust is no Exception
            self._failed(events, error)
            return
        finally:
            self._telemetry.sentinel_spent(time.thread_time() - began)
        self._judged += events
        self._disagreeing += len(found)
        self._telemetry.sentinel_judged(events, Counter(one.kind.value for one in found))
        if found:
            self._say_disagreement(found, self._opinion)

    # --- saying so ----------------------------------------------------------------------------------

    def _say_disagreement(self, found: Sequence[Disagreement], opinion: SecondOpinion) -> None:
        unsaid = self._may_say("disagreements", len(found))
        if unsaid is None:
            return
        one, model = found[0], opinion.model
        logger.error(
            "The stream and the batch path disagree on the event at %s (%s%s): the stream says %s, the batch"
            " path %s; the model is %s (sha256 %s)%s. Run python -m batch prove to see all that it concerns",
            one.position,
            one.kind,
            f" of {one.field}" if one.field else "",
            one.stream,
            one.columns,
            model.id,
            model.short_sha256,
            f"; {unsaid - 1:,} more disagree" if unsaid > 1 else "",
            extra={"position": one.position, "kind": one.kind.value, "model_sha256": model.sha256},
        )

    def _failed(self, events: int, error: BaseException) -> None:
        self._leave_out(events, "failed")
        unsaid = self._may_say("failures", events)
        if unsaid is not None:
            logger.error(
                "The sentinel could not score %d events again; their predictions are not affected: %s: %s",
                unsaid,
                type(error).__name__,
                error,
            )

    def _may_say(self, what: str, count: int) -> int | None:
        """How many there are to tell of, now; None when it was told of them a moment ago."""
        now = self._clock()
        with self._lock:
            self._unsaid[what] += count
            if what in self._said_at and now - self._said_at[what] < _SAY_SECONDS:
                return None
            self._said_at[what] = now
            return self._unsaid.pop(what)

    def _say_end(self) -> None:
        if not self._is_dead():
            self._give_up("busy")
        logger.log(
            logging.ERROR if self._disagreeing else logging.INFO,
            "The sentinel scored %d events again: %d disagree; %d that were drawn were left out",
            self._judged,
            self._disagreeing,
            self._left_out,
        )


def _offsets_of(events: RecordColumns) -> npt.NDArray[np.int64]:
    offsets = events.offsets
    if offsets and offsets[-1] - offsets[0] + 1 == len(offsets):
        # Without a gap, as nearly always: a long list becomes an array far more slowly.
        return np.arange(offsets[0], offsets[-1] + 1)
    return np.array(offsets, np.int64)


@contextmanager
def scoring_again(settings: ConsumerSettings, telemetry: SentinelTelemetry) -> Iterator[Telemetry]:
    """Who the loop is to tell how it goes; with --sentinel, events are scored again until the block ends.

    Args:
        settings: The share, if any, and where answers are published.
        telemetry: Who is told in any case.
    """
    if settings.sentinel is None:
        yield telemetry
        return
    topics = settings.output_topic, settings.dead_letter_topic
    with Sentinel(telemetry, settings.sentinel, *topics) as sentinel:
        yield sentinel
