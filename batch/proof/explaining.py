"""What the events of a class have in common: which inputs they have more often than all events have.

Of each class that is not well, and of all events, a sample is kept: those whose positions have the smallest
hashes. So a sample depends on no order, and of two partitions the samples make that of both.

A property is told when a share of p1 of n1 events of the class has it, of p2 of n2 of all events, and the
two-proportion z-score (p1 - p2) / sqrt(p (1 - p) (1/n1 + 1/n2)), with p the share of both together, is above
4: where there is no connection that happens 3 times in 100,000; a proof tries about a thousand properties.
The score is that of the normal distribution, which few events do not have: at least five must have it. The
larger the score, the better does the property tell the class from all; so the one at fault comes before those
that only go along with it. Of an input only its best value, or range of values, is told.
"""

import hashlib
import heapq
import math
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.proof.classes import AGREEING, CLASSES, CODES, Found
from batch.proof.result import Explaining
from shared.sampling import splitmix64
from shared.schema import Schema

#: Events of a sample: of all, and of each class that is not well.
OF_ALL: Final = 10_000
OF_CLASS: Final = 2_000
#: The most properties that are told of a class.
_TOLD: Final = 5
_LEAST_SCORE: Final = 4.0
_LEAST_EVENTS: Final = 5
#: The bounds of ranges of numbers, as shares of all events.
_BOUNDS: Final = [tenth / 10 for tenth in range(1, 10)]
#: Characters of a value that are shown.
_SHOWN: Final = 60
_LAST: Final = 2**64 - 1

Value = float | bool | str | None


class _Sampled(NamedTuple):
    """An event of a sample.

    Attributes:
        draw: The hash of its position; no other event of its partition has the same.
        partition: Its partition.
        code: Its class, by CODES.
        model: The model on its answer; None without one.
        inputs: Its inputs by name; None when it is not valid.
    """

    draw: int
    partition: int
    code: int
    model: str | None
    inputs: dict[str, Value] | None


class _Least:
    """The events with the smallest hashes, of all that were offered.

    Args:
        size: How many are kept.
        expected: Of how many about, when that is known: then hardly more are looked at than are kept.

    Attributes:
        bound: An event with a larger hash is none of them.
    """

    def __init__(self, size: int, expected: int = 0) -> None:
        self._size = size
        self._kept: list[_Sampled] = []
        # Twice as many as are wanted fall below it, give or take a few in a hundred.
        self.bound = _LAST if expected <= 2 * size else _LAST * 2 * size // expected

    def add(self, events: Iterable[_Sampled]) -> None:
        """Offers events."""
        self._kept += [event for event in events if event.draw <= self.bound]
        if len(self._kept) > 2 * self._size:
            self._kept = heapq.nsmallest(self._size, self._kept, key=_position)
            self.bound = self._kept[-1].draw

    @property
    def events(self) -> list[_Sampled]:
        """They, by hash."""
        return heapq.nsmallest(self._size, self._kept, key=_position)


class Explainer:
    """Takes in events with their classes, and says what those of a class have in common.

    Args:
        expected: How many events there are in all partitions, about; 0 when that is not known.
    """

    def __init__(self, expected: int = 0) -> None:
        self._of_all = _Least(OF_ALL, expected)
        self._of_class = {
            code: _Least(OF_CLASS)
            for found, code in CODES.items()
            if found not in (*AGREEING, Found.NOT_SAMPLED)
        }

    def add(
        self,
        schema: Schema,
        partition: int,
        offsets: npt.NDArray[np.int64],
        codes: npt.NDArray[np.int8],
        inputs: pa.StructArray,
        models: Sequence[str | None],
    ) -> None:
        """Takes in events of a partition.

        Args:
            schema: What their model declares.
            partition: The partition.
            offsets: Of each event.
            codes: The class of each, by CODES.
            inputs: What `inputs_column` of shared/columnar.py made of them; null where it is not valid.
            models: The model on the answer of each, `name@version`; None without one.
        """
        seed = hashlib.sha256(f"explaining\0{partition}".encode()).digest()[:8]
        draws = splitmix64(int.from_bytes(seed, "big"), offsets)
        wanted = draws <= np.uint64(self._of_all.bound)
        for code, sample in self._of_class.items():
            wanted |= (codes == code) & (draws <= np.uint64(sample.bound))
        places = np.flatnonzero(wanted)
        names = [feature.name for feature in schema.features]
        rows = [
            None if row is None else {name: _plain(row[name]) for name in names}
            for row in inputs.take(pa.array(places)).to_pylist()
        ]
        self._offer(
            _Sampled(draw, partition, code, models[place], row)
            for draw, code, place, row in zip(
                draws[places].tolist(), codes[places].tolist(), places.tolist(), rows, strict=True
            )
        )

    def merge(self, other: "Explainer") -> None:
        """Takes in what another has seen, of other events."""
        self._offer(other._sampled())  # noqa: SLF001 - another of its kind

    def to_json(self) -> dict[str, str]:
        """The samples, in one text: they are large."""
        rows = msgspec.json.encode(list(self._sampled()))
        return {"sampled": b64encode(zlib.compress(rows)).decode()}

    @classmethod
    def from_json(cls, found: dict[str, str]) -> "Explainer":
        """What `to_json` gave."""
        made = cls()
        rows = msgspec.json.decode(zlib.decompress(b64decode(found["sampled"])), type=list[_Sampled])
        made._offer(rows)
        return made

    def explain(self) -> list[Explaining]:
        """What events of each class have, beyond chance, more often than all events have; best first."""
        everything = self._of_all.events
        return [
            told
            for found in CLASSES
            if found not in (*AGREEING, Found.NOT_SAMPLED)
            and (of_class := self._of_class[CODES[found]].events)
            for told in _explained(found, of_class, everything)
        ]

    def _offer(self, events: Iterable[_Sampled]) -> None:
        offered = list(events)
        self._of_all.add(offered)
        for code, sample in self._of_class.items():
            sample.add(event for event in offered if event.code == code)

    def _sampled(self) -> Iterator[_Sampled]:
        """Each event of any sample, once."""
        samples = (self._of_all, *self._of_class.values())
        found = {_position(event): event for sample in samples for event in sample.events}
        return iter(sorted(found.values(), key=_position))


def z_score(of_class: int, count: int, of_all: int, total: int) -> float:
    """How far a share is above another, in standard deviations of their difference; see the module.

    Args:
        of_class: Events of the class that have a property.
        count: Events of the class.
        of_all: Of all events those that have it.
        total: All events.
    """
    share = (of_class + of_all) / (count + total)
    if not 0 < share < 1:
        return 0.0
    deviation = math.sqrt(share * (1 - share) * (1 / count + 1 / total))
    return (of_class / count - of_all / total) / deviation


class _Property(NamedTuple):
    """A property, and how many events have it: of the class, and of all."""

    value: str
    of_class: int
    of_all: int


def _explained(found: Found, of_class: list[_Sampled], of_all: list[_Sampled]) -> list[Explaining]:
    told = []
    for feature, ours, theirs in _features(of_class, of_all):
        best: tuple[float, _Property] | None = None
        for having in _properties(ours, theirs):
            score = z_score(having.of_class, len(ours), having.of_all, len(theirs))
            enough = having.of_class >= _LEAST_EVENTS and score > _LEAST_SCORE
            if enough and (best is None or score > best[0]):
                best = score, having
        if best is not None:
            score, having = best
            shares = having.of_class / len(ours), having.of_all / len(theirs)
            explaining = Explaining(
                found=found, feature=feature, value=having.value, share=shares[0], share_of_all=shares[1]
            )
            told.append((score, explaining))
    told.sort(key=lambda one: -one[0])
    return [explaining for _, explaining in told[:_TOLD]]


def _features(
    of_class: list[_Sampled], of_all: list[_Sampled]
) -> Iterator[tuple[str, list[Value], list[Value]]]:
    """By feature the values of the class and those of all: inputs, and then the model and the partition."""
    sides = of_class, of_all
    names = dict.fromkeys(name for event in of_class for name in event.inputs or ())
    for name in names:
        # An event of a model that does not declare the input is not one without a value.
        ours, theirs = (
            [event.inputs[name] for event in side if event.inputs is not None and name in event.inputs]
            for side in sides
        )
        if ours and theirs:
            yield name, ours, theirs
    answered = [[event.model for event in side if event.model is not None] for side in sides]
    if all(answered):
        yield "model", list(answered[0]), list(answered[1])
    partitions = [[str(event.partition) for event in side] for side in sides]
    yield "partition", list(partitions[0]), list(partitions[1])


def _properties(ours: list[Value], theirs: list[Value]) -> Iterator[_Property]:
    """What values may have in common: none at all, one of the values, or a range of numbers."""
    yield _Property("missing", ours.count(None), theirs.count(None))
    given = [value for value in ours if value is not None]
    if any(isinstance(value, bool | str) for value in given):
        counts, of_all = Counter(given), Counter(theirs)
        for value, times in counts.items():
            yield _Property(_text(value), times, of_all[value])
    elif given:
        yield from _ranges(_numbers(ours), _numbers(theirs))


def _numbers(values: list[Value]) -> npt.NDArray[np.float64]:
    return np.array([value for value in values if value is not None], np.float64)


def _ranges(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> Iterator[_Property]:
    """All runs of the ranges that the deciles of all values cut."""
    if not len(theirs):
        return
    bounds = np.unique(np.quantile(theirs, _BOUNDS, method="inverted_cdf"))
    values = np.unique(np.concatenate([ours, theirs]))
    # Where each range ends among the values: up to and with its bound, and the last with them all.
    ends = [*np.searchsorted(values, bounds, side="right").tolist(), len(values)]
    counts = [
        np.cumsum(np.bincount(np.searchsorted(bounds, side), minlength=len(ends))) for side in (ours, theirs)
    ]
    edges = [0, *ends]
    before = [np.concatenate([[0], one]) for one in counts]
    for first in range(len(ends)):
        for last in range(first + 1, len(ends) + 1):
            held = [int(one[last] - one[first]) for one in before]
            if last - first < len(ends) and edges[first] < edges[last]:
                yield _Property(_range(values, edges[first], edges[last]), held[0], held[1])


def _range(values: npt.NDArray[np.float64], first: int, end: int) -> str:
    low, high = (_text(value) for value in (float(values[first]), float(values[end - 1])))
    if low == high:
        return low
    if not first:
        return f"at most {high}"
    return f"at least {low}" if end == len(values) else f"{low} to {high}"


def _plain(value: Any) -> Value:
    """A value as JSON has it: the integers of a feature are numbers like others."""
    plain: Value = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return plain


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _position(event: _Sampled) -> tuple[int, int]:
    return event.draw, event.partition
