"""What recorded events say of a cadence: which decision was in force, and how long a wrong one stood.

Definitions. All times are of the events; the bounds of each comparison matter to a millisecond, and so they
are stated.

- The *own* decision of an event is what the model says of that event. A customer's *true* decision at a time
  is that of his last event at that time or before.
- A run that begins at T knows the events before T, not those at T. It decides of each customer who came since
  the run before, by his last event that it knows. It takes a while, the same for all runs of a cadence, and
  its decisions are in force from its end on.
- A *use* is an event: there the customer's decision is needed. In force is the decision of the last run that
  had ended by then, that time included, and had decided of the customer.
- The *age* of the decision in force is the time from the beginning of the run that made it to the use: what
  happened since then it does not know.
- A use is *without* a decision when no run that had ended knew the customer; it is *stale* when the decision
  in force is another than the event's own.
- A *change* is an event whose own decision is another than that of the customer's event before. It is
  *missed* when the customer changed back before the next run began: no decision ever told of it.
- A stale decision *stands* from when the decision in force has become another than the true one until they
  are the same again: a run's end, or a change back, ends that.
- Uses, changes, and decisions that begin to stand stale are counted from a given time on, and uses not before
  the first run that knows an event has ended: the recording begins without a past, which no cadence is to
  blame for. Customers who came before the recording and not yet again still count as new.

In real time each event is decided of by itself: nothing is stale, and the age is the stream's latency.

An example, with runs at 10:00, 11:00, ... that take one minute, and counting from 10:01 on. A customer comes
at 9:30 (true), at 10:30 (false), at 11:00 (false) and at 11:30 (true).

- 10:30: in force is what the run of 10:00 said from the event of 9:30, true: stale, 30 minutes old.
- 11:00: the run of 11:00 has not ended, and does not know this event: true is in force: stale, 60 minutes.
- 11:30: the run of 11:00 said false, from the event of 10:30: stale, 30 minutes old.
- There are two changes (10:30 and 11:30), none is missed. The stale true stood from 10:30 to 11:01 for 31
  minutes, the stale false from 11:30 to 12:01 for 31 minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from batch.advice.runs import Runs, Times

#: About as many events are worked on at once: it takes some 100 bytes for each.
_BLOCK: Final = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Scored events, by customer and then by time; those of one time in the order in which they came.

    Attributes:
        starts: The place of each customer's first event, ascending.
        times: When each event happened, in milliseconds since 1970.
        decisions: What the model says of it.
    """

    starts: npt.NDArray[np.int64]
    times: Times
    decisions: npt.NDArray[np.bool_]

    @property
    def first(self) -> int:
        """When the first event happened."""
        return int(self.times.min())

    @property
    def last(self) -> int:
        """When the last event happened."""
        return int(self.times.max())

    def blocks(self, most: int = _BLOCK) -> Iterator[Self]:
        """The same in pieces of whole customers, of about `most` events."""
        ends = np.append(self.starts[1:], len(self.times))
        begin = 0
        while begin < len(self.starts):
            stop = max(begin + 1, int(np.searchsorted(ends, self.starts[begin] + most, "right")))
            rows = slice(int(self.starts[begin]), int(ends[stop - 1]))
            own = self.starts[begin:stop] - rows.start
            yield type(self)(own, self.times[rows], self.decisions[rows])
            begin = stop

    def customers(self) -> npt.NDArray[np.int64]:
        """The number of each event's customer, from 0."""
        counts = np.diff(self.starts, append=len(self.times))
        return np.repeat(np.arange(len(self.starts)), counts)

    def changes(self) -> npt.NDArray[np.int64]:
        """The places of the events whose decision is another than that of the customer's event before."""
        changed = np.zeros(len(self.times), np.bool_)
        changed[1:] = self.decisions[1:] != self.decisions[:-1]
        changed[self.starts] = False
        return np.flatnonzero(changed)


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What became of the uses; see the definitions above.

    Attributes:
        uses: Uses that count.
        without: Of these, how many were without a decision.
        stale: At how many another decision was in force.
        missed: Changes that were missed.
        changed_customers: Customers with a change.
        ages: The age at each use with a decision, in milliseconds.
        standing: For how long each stale decision stood, in milliseconds.
    """

    uses: int
    without: int
    stale: int
    missed: int
    changed_customers: int
    ages: Times
    standing: Times

    def followed_by(self, other: "Observed") -> "Observed":
        """The same of the customers of both."""
        mine, theirs = ([getattr(one, each.name) for each in fields(Observed)] for one in (self, other))
        return Observed(*(_joined(*pair) for pair in zip(mine, theirs, strict=True)))


def _joined(mine: Any, theirs: Any) -> Any:
    return np.concatenate([mine, theirs]) if isinstance(mine, np.ndarray) else mine + theirs


def observe(history: History, runs: Runs, takes: int, since: int) -> Observed:
    """What would have become of the recorded events, had they been scored by runs.

    Args:
        history: The events; at least one.
        runs: When runs begin.
        takes: How long each takes, in milliseconds.
        since: The time from which uses and changes count.
    """
    # No use counts before the first run that knows of anything has ended.
    ready = int(runs.begin(runs.first_after(np.array([history.first], np.int64)))[0]) + takes
    none: Times = np.empty(0, np.int64)
    found = Observed(0, 0, 0, 0, 0, none, none)
    for block in history.blocks():
        found = found.followed_by(_observed(block, runs, takes, since, max(since, ready)))
    return found


def changes_since(history: History, since: int) -> tuple[int, int]:
    """How many changes there are from a time on, and how many customers they are of."""
    changes = history.changes()
    counted = changes[history.times[changes] >= since]
    return len(counted), _customers_of(history, counted)


def _customers_of(history: History, places: npt.NDArray[np.int64]) -> int:
    return len(np.unique(np.searchsorted(history.starts, places, "right")))


def _observed(block: History, runs: Runs, takes: int, since: int, counted: int) -> Observed:
    known_by = runs.first_after(block.times)
    in_force = _in_force(block, known_by, runs.last_until(block.times - takes))
    used = block.times >= counted
    has = used & (in_force >= 0)
    at, places = in_force[has], np.flatnonzero(has)
    changes = block.changes()
    # Two changes of a customer, one after the other, that the same run learns of.
    back = np.zeros(len(changes), np.bool_)
    back[:-1] = (known_by[changes[:-1]] == known_by[changes[1:]]) & (
        np.searchsorted(block.starts, changes[:-1], "right")
        == np.searchsorted(block.starts, changes[1:], "right")
    )
    counting = block.times[changes] >= since
    return Observed(
        uses=int(used.sum()),
        without=int(used.sum() - has.sum()),
        stale=int((block.decisions[at] != block.decisions[places]).sum()),
        missed=int((back & counting).sum()),
        changed_customers=_customers_of(block, changes[counting]),
        ages=block.times[places] - runs.begin(known_by[at]),
        standing=_standing(block, known_by, runs.begin(known_by) + takes, changes, since),
    )


def _in_force(block: History, known_by: Times, last: Times) -> npt.NDArray[np.int64]:
    """The place of the event that the decision in force at each event was made from; -1 without one.

    Args:
        block: The events.
        known_by: The first run that knows each event.
        last: The last run that had ended by then.
    """
    customers = block.customers()
    base = int(known_by.min())
    # Customer and run as one number, ascending as the events stand.
    width = int(max(known_by.max(), last.max())) - base + 2
    keys = customers * width + (known_by - base)
    wanted = customers * width + np.maximum(last - base, -1)
    found = np.searchsorted(keys, wanted, "right") - 1
    found[found < block.starts[customers]] = -1
    return found.astype(np.int64)


def _standing(
    block: History, known_by: Times, ended: Times, changes: npt.NDArray[np.int64], since: int
) -> Times:
    """For how long each stale decision stood that began to do so from a time on, in milliseconds.

    For each customer two things are laid on one line of time: what is true, from event to event, and what is
    in force, from run to run.

    Args:
        block: The events.
        known_by: The first run that knows each event.
        ended: When that run ended.
        changes: The places of the changes.
        since: Where to begin.
    """
    customers = block.customers()
    # Of customers who never changed nothing is ever stale.
    ever = np.zeros(len(block.starts), np.bool_)
    ever[customers[changes]] = True
    true = np.flatnonzero(ever[customers])
    if not len(true):
        return np.empty(0, np.int64)
    # The last event that each run knows of a customer is what it decides by.
    last = np.ones(len(true), np.bool_)
    same_customer = customers[true[1:]] == customers[true[:-1]]
    last[:-1] = ~(same_customer & (known_by[true[1:]] == known_by[true[:-1]]))
    decided = true[last]
    moments = np.concatenate([ended[decided], block.times[true]])
    events = np.concatenate([decided, true])
    of_event = np.arange(len(events)) >= len(decided)
    # At one time a run ends before an event comes: its decision is in force there.
    order = np.lexsort((of_event, moments, customers[events]))
    moments, events, of_event = moments[order], events[order], of_event[order]
    truth, force = (_latest(mask) for mask in (of_event, ~of_event))
    # A customer's first moment is an event: what was in force before that was another customer's.
    has = (force >= 0) & (customers[events[force]] == customers[events])
    stale = has & (block.decisions[events[force]] != block.decisions[events[truth]])
    # Each customer's last moment is the end of a run that knows all of it: no stale decision goes on.
    before = np.concatenate([[False], stale[:-1]])
    begins, ends = moments[stale & ~before], moments[before & ~stale]
    counted: Times = (ends - begins)[(ends > begins) & (begins >= since)]
    return counted


def _latest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each place, the last place up to it at which the mask holds; -1 before the first."""
    latest: npt.NDArray[np.int64] = np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))
    return latest
