"""What `promtool check metrics` would find fault with, and some of our own rules, on a page of metrics."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Units that are not base units, and short forms of those that are.
_WRONG_UNITS = re.compile(
    r"_(milliseconds|microseconds|minutes|hours|days|kilobytes|megabytes|percent|ms|sec|secs|s|b|kb|mb)(_|$)"
)
_KINDS = re.compile(r"_(counter|gauge|histogram|summary)(_|$)")
_UNITS = ("seconds", "bytes", "ratio")
# More values than that of one label are too many series to keep.
_MANY = 200


def problems(text: str) -> list[str]:
    """The faults of a page in the plain text format, as sentences; none for a good one."""
    families = list(text_string_to_metric_families(text))
    found = [*_of_lines(text)]
    for family in families:
        found += _of_name(family)
        found += _of_labels(family)
        if family.type == "histogram":
            found += _of_buckets(family)
    return found


def _of_lines(text: str) -> Iterator[str]:
    series: Counter[str] = Counter()
    declared: dict[str, Counter[str]] = {"HELP": Counter(), "TYPE": Counter()}
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = [*line.split(" ", 3), "", ""][:4]
            declared[what][name] += 1
            if what == "HELP" and not rest.strip():
                yield f"{name}: no help text"
            # The parser would mend this itself.
            if what == "TYPE" and (rest == "counter") != name.endswith("_total"):
                yield f"{name}: counters, and only they, end in _total"
        else:
            series[line.rpartition(" ")[0]] += 1
    yield from (f"{one} stands there {count} times" for one, count in series.items() if count > 1)
    for what, names in declared.items():
        yield from (f"{name} has {count} lines {what}" for name, count in names.items() if count > 1)
        for one in series:
            name = one.partition("{")[0]
            if name not in names and re.sub("_(bucket|sum|count)$", "", name) not in names:
                yield f"{name} has no {what}"


def _of_name(family: Metric) -> Iterator[str]:
    name = family.name
    if not _NAME.fullmatch(name):
        yield f"{name}: not in snake case"
    if not name.startswith(("tandem_", "process_", "python_")):
        yield f"{name}: not ours"
    if _WRONG_UNITS.search(name):
        yield f"{name}: not a base unit, or a short form of one"
    if any(f"_{unit}_" in name for unit in _UNITS):
        yield f"{name}: the unit stands last"
    if _KINDS.search(name):
        yield f"{name}: the type stands in the name"
    for sample in family.samples:
        if family.type != "histogram" and re.search("_(bucket|sum|count)$", sample.name):
            yield f"{sample.name}: the ending of a histogram"
        if family.type in ("counter", "histogram") and not sample.value >= 0:
            yield f"{sample.name}: below 0"


def _of_labels(family: Metric) -> Iterator[str]:
    values: defaultdict[str, set[str]] = defaultdict(set)
    for sample in family.samples:
        for label, value in sample.labels.items():
            values[label].add(value)
            if not _NAME.fullmatch(label):
                yield f"{sample.name}: label {label} is not in snake case"
            if label == "quantile" or (label == "le" and family.type != "histogram"):
                yield f"{sample.name}: label {label} is not free"
    yield from (
        f"{family.name}: {len(known)} values of {label}"
        for label, known in values.items()
        if len(known) > _MANY
    )


def _of_buckets(family: Metric) -> Iterator[str]:
    buckets: defaultdict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    counts = {}
    for sample in family.samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets[labels].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    if counts.keys() != buckets.keys():
        yield f"{family.name}: a count without buckets, or buckets without a count"
    for labels, told in buckets.items():
        if told != sorted(told) or [value for _, value in told] != sorted(value for _, value in told):
            yield f"{family.name}{dict(labels)}: buckets are not cumulative"
        if told[-1][0] != math.inf or told[-1][1] != counts.get(labels):
            yield f"{family.name}{dict(labels)}: the last bucket is not the count"
