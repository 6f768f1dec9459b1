"""Stops the consumer when too much is rejected: a bad deploy must not empty a topic into the dead letters.

What the guard knows is in memory only: after a restart its window is empty and fills again.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from consumer.scoring import Scored, place_of
from shared.errors import AnswerIsNo
from shared.schema import Reason
from shared.visible import visible

Cause = tuple[Reason, str | None]

# The window is kept in about as many buckets, so that its memory does not grow with it.
_BUCKETS: Final = 64
# Under a strict model senders choose the names of unknown fields: so many causes are told apart in a bucket.
_MOST_CAUSES: Final = 100
# How many causes a person is told.
_TOLD: Final = 3
_MOST_TEXT: Final = 300


class TooManyRejectedError(AnswerIsNo):
    """More of the latest events were rejected than --reject-limit allows."""


@dataclass(slots=True)
class _Tally:
    """Counts of consecutive batches."""

    events: int = 0
    rejected: int = 0
    causes: Counter[Cause] = field(default_factory=Counter)

    def add(self, other: "_Tally") -> None:
        """Adds the counts of later batches."""
        self.events += other.events
        self.rejected += other.rejected
        for (reason, name), count in other.causes.items():
            known = (reason, name) in self.causes or len(self.causes) < _MOST_CAUSES
            self.causes[reason, name if known else None] += count


class RejectGuard:
    """Watches the share of rejected events among the latest.

    The latest are the batch in hand and, before it, committed batches up to `window` events; fewer than
    `window` events trip nothing. A batch that is as large alone is judged alone.

    Args:
        limit: The share above which `check` raises, from 0 to 1; at 1 it never does.
        window: Over how many events at least the share is taken.
    """

    def __init__(self, limit: float, window: int) -> None:
        self._limit = limit
        self._window = window
        self._buckets: deque[_Tally] = deque()
        self._example = ""

    def check(self, batch: Sequence[Scored]) -> None:
        """Judges a batch that is to be published; to be called before anything of it is written.

        Args:
            batch: Events and what became of them.

        Raises:
            TooManyRejectedError: The share is above the limit; nothing of the batch may be written.
        """
        latest = _tally_of(batch)
        for bucket in reversed(self._buckets):
            if latest.events >= self._window:
                break
            latest.add(bucket)
        if latest.events >= self._window and latest.rejected > self._limit * latest.events:
            raise self._refusal(latest, _example_of(batch, latest) or self._example)

    def add(self, batch: Sequence[Scored]) -> None:
        """Enters a batch that is committed."""
        tally = _tally_of(batch)
        if tally.rejected:
            self._example = _example_of(batch, tally)
        if self._buckets and self._buckets[-1].events < self._window / _BUCKETS:
            self._buckets[-1].add(tally)
        else:
            self._buckets.append(tally)
        # What is left must still be a whole window.
        held = sum(bucket.events for bucket in self._buckets)
        while held - self._buckets[0].events >= self._window:
            held -= self._buckets.popleft().events

    def _refusal(self, latest: _Tally, example: str) -> TooManyRejectedError:
        causes = ", ".join(
            f"{count:,} {reason}" + (f" of {visible(name, _MOST_TEXT)}" if name is not None else "")
            for (reason, name), count in latest.causes.most_common(_TOLD)
        )
        return TooManyRejectedError(
            f"{latest.rejected:,} of the latest {latest.events:,} events"
            f" ({latest.rejected / latest.events:.1%}) were rejected, above --reject-limit {self._limit:g}:"
            f" {causes}. For example {example}",
            hint="Nothing of the batch in hand was written. See whether the model or the sender of the events"
            " was changed, mend that and start again; when the events are as they should be, raise"
            " --reject-limit (1 never stops), and the rejected become dead letters.",
        )


def _tally_of(batch: Sequence[Scored]) -> _Tally:
    tally = _Tally()
    for scored in batch:
        rejections = scored.outcome.rejections
        causes = Counter((rejection.reason, rejection.field) for rejection in rejections)
        tally.add(_Tally(len(scored.events), len(rejections), causes))
    return tally


def _example_of(batch: Sequence[Scored], tally: _Tally) -> str:
    """Where an event of the commonest cause stands and what is wrong with it; empty when none is rejected."""
    for (reason, name), _ in tally.causes.most_common():
        for scored in batch:
            for rejection in scored.outcome.rejections:
                if rejection.reason == reason and name in (None, rejection.field):
                    place = f"{place_of(scored.events)}/{scored.events.offsets[rejection.row]}"
                    return f"{place}: {visible(rejection.detail, _MOST_TEXT)}"
    return ""
