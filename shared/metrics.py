"""Counters, gauges and histograms that take whole arrays, and their form for Prometheus.

A `Metrics` holds one process's values. What `snapshot` gives is plain data that can go through a pipe as
JSON; `merge` makes one of those of several processes, and `exposition` the text that Prometheus reads.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from prometheus_client import exposition as plain
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.utils import floatToGoString

#: A counter's or gauge's value; of a histogram the number of observations in each bucket (the last one has
#: no bound), and their sum.
Value: TypeAlias = float | list[float]
#: By family, each series: the values of its labels, and its own.
Snapshot: TypeAlias = dict[str, list[tuple[list[str], Value]]]

_OPENMETRICS: Final = "application/openmetrics-text"
_UNITS: Final = ("seconds", "bytes")


@dataclass(frozen=True, slots=True)
class Family:
    """What one metric is.

    Attributes:
        name: As Prometheus shows it; a counter's ends in `_total`.
        kind: A counter only rises; a gauge is what it is now; a histogram counts observations by size.
        help: One sentence.
        labels: What tells its series apart; few values each.
        bounds: Of a histogram, the upper bounds of its buckets, rising, without infinity.
        merged: What becomes of a gauge's series that several processes have.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    merged: Literal["sum", "max", "min"] = "sum"

    @property
    def unit(self) -> str:
        """The base unit that its name ends in, if any."""
        name = self.name.removesuffix("_total")
        return next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")


class Metrics:
    """The values of one process. Any thread may write and read.

    Args:
        families: What there is.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._lock = Lock()
        self._values: dict[str, dict[tuple[str, ...], Value]] = {family.name: {} for family in families}

    def add(self, family: Family, amount: float, *labels: str) -> None:
        """Raises a counter; by 0 it only appears, so that a rate sees its first rise."""
        with self._lock:
            series = self._values[family.name]
            series[labels] = _number(series.get(labels, 0.0)) + amount

    def set(self, family: Family, value: float, *labels: str) -> None:
        """Sets a gauge."""
        with self._lock:
            self._values[family.name][labels] = value

    def replace(self, family: Family, values: Mapping[tuple[str, ...], float]) -> None:
        """Sets a gauge to exactly these series, by the values of their labels; others are gone."""
        with self._lock:
            self._values[family.name] = dict(values)

    def observe(self, family: Family, value: float, *labels: str) -> None:
        """Enters one observation into a histogram."""
        # A bucket holds what is not above its bound.
        place = bisect_left(family.bounds, value)
        with self._lock:
            cells = self._cells(family, labels)
            cells[place] += 1
            cells[-1] += value

    def observe_all(self, family: Family, values: npt.NDArray[Any], *labels: str) -> None:
        """Enters an array of observations into a histogram."""
        places = np.searchsorted(np.asarray(family.bounds), values, side="left")
        counts = np.bincount(places, minlength=len(family.bounds) + 1).tolist()
        total = float(values.sum())
        with self._lock:
            cells = self._cells(family, labels)
            cells[:] = _plus(cells, [*counts, total])

    def _cells(self, family: Family, labels: tuple[str, ...]) -> list[float]:
        series = self._values[family.name]
        if labels not in series:
            series[labels] = [0.0] * (len(family.bounds) + 2)
        return _list(series[labels])

    def snapshot(self) -> Snapshot:
        """All values, as data that JSON can carry."""
        with self._lock:
            return {
                name: [
                    (list(labels), value.copy() if isinstance(value, list) else value)
                    for labels, value in series.items()
                ]
                for name, series in self._values.items()
            }


def merge(families: Iterable[Family], snapshots: Sequence[Snapshot]) -> Snapshot:
    """One snapshot of several: counters and histograms are added up, gauges as their family says."""
    merged: Snapshot = {}
    for family in families:
        series: dict[tuple[str, ...], Value] = {}
        for snapshot in snapshots:
            for labels, value in snapshot.get(family.name, ()):
                key = tuple(labels)
                series[key] = _joined(family, series[key], value) if key in series else value
        merged[family.name] = [(list(labels), value) for labels, value in series.items()]
    return merged


def lasting(families: Iterable[Family], snapshot: Snapshot) -> Snapshot:
    """What stays true of a process that has ended: its counters and histograms, not its gauges."""
    return {family.name: snapshot.get(family.name, []) for family in families if family.kind != "gauge"}


def numbers(snapshot: Snapshot, family: Family) -> dict[tuple[str, ...], float]:
    """The series of a counter or gauge, by the values of their labels."""
    return {tuple(labels): _number(value) for labels, value in snapshot.get(family.name, ())}


def buckets(snapshot: Snapshot, family: Family) -> list[float]:
    """The observations in each bucket of a histogram, all series together; the last one has no bound."""
    counts = [0.0] * (len(family.bounds) + 1)
    for _, value in snapshot.get(family.name, ()):
        counts = _plus(counts, _list(value)[:-1])
    return counts


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """A quantile of observations that are known by their buckets alone, none of them below 0.

    As Prometheus' `histogram_quantile` finds it: within its bucket the observations count as spread evenly,
    and in the bucket without a bound as being at the last bound.

    Args:
        bounds: The upper bounds of the buckets, rising.
        counts: The observations in each bucket; one more than the bounds.
        share: Which quantile, from 0 to 1.

    Returns:
        None without an observation.
    """
    total = sum(counts)
    if not total:
        return None
    below, lower = 0.0, 0.0
    for upper, count in zip(bounds, counts, strict=False):
        if count and below + count >= share * total:
            return lower + (upper - lower) * (share * total - below) / count
        below, lower = below + count, upper
    return lower


def exposition(families: Sequence[Family], snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The text that Prometheus reads, and its content type.

    Args:
        families: What there is; each has its HELP and TYPE, with or without a series.
        snapshot: The values.
        accept: What the reader asked for: OpenMetrics when it names it, else the plain text format.
    """
    collector = _Collector(families, snapshot)
    if _OPENMETRICS in accept:
        text: bytes = openmetrics.generate_latest(collector)  # type: ignore[no-untyped-call]
        return text, openmetrics.CONTENT_TYPE_LATEST
    return plain.generate_latest(collector), plain.CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    """Hands a snapshot to prometheus_client."""

    def __init__(self, families: Sequence[Family], snapshot: Snapshot) -> None:
        self._families = families
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Each family in turn."""
        for family in self._families:
            yield _translated(family, self._snapshot.get(family.name, []))


def _translated(family: Family, series: list[tuple[list[str], Value]]) -> Metric:
    labels = family.labels
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=labels, unit=family.unit)
        names = [*map(floatToGoString, family.bounds), "+Inf"]
        for values, value in series:
            *counts, total = _list(value)
            buckets = list(zip(names, accumulate(counts), strict=True))
            histogram.add_metric(values, buckets, sum_value=total)
        return histogram
    made: CounterMetricFamily | GaugeMetricFamily
    if family.kind == "counter":
        name = family.name.removesuffix("_total")
        made = CounterMetricFamily(name, family.help, labels=labels, unit=family.unit)
    else:
        made = GaugeMetricFamily(family.name, family.help, labels=labels, unit=family.unit)
    for values, value in series:
        made.add_metric(values, _number(value))
    return made


def _joined(family: Family, one: Value, other: Value) -> Value:
    if family.kind == "histogram":
        return _plus(one, _list(other))
    if family.kind == "gauge" and family.merged != "sum":
        return (max if family.merged == "max" else min)(_number(one), _number(other))
    return _number(one) + _number(other)


def _plus(one: Value, other: list[float]) -> list[float]:
    return [a + b for a, b in zip(_list(one), other, strict=True)]


def _number(value: Value) -> float:
    if isinstance(value, list):
        raise TypeError("a histogram where a counter or gauge belongs")
    return value


def _list(value: Value) -> list[float]:
    if not isinstance(value, list):
        raise TypeError("a counter or gauge where a histogram belongs")
    return value
