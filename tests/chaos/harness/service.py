"""How long a deployment gave no answer while events waited for one: pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.harness.plan import Step

#: Seconds: what a step brings to a halt may have given its last answer a little before it.
_LEEWAY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Answered:
    """An event with its answer, in seconds since the epoch.

    Attributes:
        partition: The event's partition.
        stored: When the broker stored the event.
        visible: When a read-committed reader first saw its answer.
    """

    partition: int
    stored: float
    visible: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A time without answers while at least one event waited.

    Attributes:
        began: Seconds since the epoch: of the last answer before, or of the first event to wait.
        ended: Of the next answer.
        partition: In which partition; None when in none of them there was one.
    """

    began: float
    ended: float
    partition: int | None = None

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended - self.began


NO_PAUSE: Final = Pause(0.0, 0.0)


def pauses(answers: Sequence[Answered], partition: int | None = None) -> list[Pause]:
    """The times between one answer and the next, as far as an event waited in them.

    Args:
        answers: Of one partition, or of all.
        partition: The one; None for all.
    """
    ordered = sorted(answers, key=lambda answer: answer.visible)
    # At each place, when the oldest event was stored that had no answer by then.
    oldest = [math.inf] * (len(ordered) + 1)
    for place in reversed(range(len(ordered))):
        oldest[place] = min(ordered[place].stored, oldest[place + 1])
    found, before = [], -math.inf
    for place, answer in enumerate(ordered):
        began = max(before, oldest[place])
        if answer.visible > began:
            found.append(Pause(began, answer.visible, partition))
        before = answer.visible
    return found


def longest(found: Iterable[Pause]) -> Pause:
    """The longest of them; NO_PAUSE of none."""
    return max(found, key=lambda pause: pause.seconds, default=NO_PAUSE)


def pauses_of_partitions(answers: Sequence[Answered]) -> list[Pause]:
    """The pauses of each partition by itself, one after the other."""
    of_partition = defaultdict(list)
    for answer in answers:
        of_partition[answer.partition].append(answer)
    return [pause for number, own in sorted(of_partition.items()) for pause in pauses(own, number)]


def by_step(done: Sequence[tuple[float, Step]], found: Iterable[Pause]) -> Mapping[Step, Pause]:
    """The longest pause that began after each step and before the next one.

    Args:
        done: The steps, and when each was begun in seconds since the epoch, in order of time.
        found: Pauses.
    """
    longest_of: dict[Step, Pause] = {}
    for pause in found:
        earlier = [step for at, step in done if at <= pause.began + _LEEWAY]
        if earlier and pause.seconds > longest_of.get(earlier[-1], NO_PAUSE).seconds:
            longest_of[earlier[-1]] = pause
    return longest_of
