"""How a worker gets on, at one moment: what its telemetry shows to its watchdog."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is being taken.

    Attributes:
        name: poll, score, commit, abort or rewind.
        places: The partitions and offsets that it is about.
        thread: The identifier of the thread that takes it.
    """

    name: str
    places: Mapping[int, int]
    thread: int


@dataclass(frozen=True, slots=True)
class View:
    """What the watchdog looks at.

    Attributes:
        steps: Those being taken, by their number.
        begun: How many steps have begun so far.
        empty_polls: How many polls so far waited, with nothing else to do, and brought nothing.
        thread: The thread that began the last step, None before the first.
        assignments: How often partitions have been assigned.
        lagging: By assigned partition that is behind its end, its position (None: not told yet) and that end.
        broker_answers: Whether a broker has told the ends lately.
        stopping: Whether the worker was told to stop.
    """

    steps: Mapping[int, Step]
    begun: int
    empty_polls: int
    thread: int | None
    assignments: int
    lagging: Mapping[int, tuple[int | None, int]]
    broker_answers: bool
    stopping: bool
