"""Metrics: what is counted, how several processes become one, and what Prometheus is given to read."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from shared.metrics import Family, Metrics, buckets, exposition, lasting, merge, numbers, quantile
from tests.support.promlint import problems

COUNTER = Family("tandem_things_total", "counter", "Things.", ("kind",))
GAUGE = Family("tandem_level", "gauge", "A level.")
LARGEST = Family("tandem_largest", "gauge", "The largest.", merged="max")
SMALLEST = Family("tandem_smallest", "gauge", "The smallest.", merged="min")
SECONDS = Family("tandem_wait_seconds", "histogram", "A wait.", ("step",), (0.1, 1.0, 10.0))
FAMILIES = (COUNTER, GAUGE, LARGEST, SMALLEST, SECONDS)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(FAMILIES)


def values_of(text: str) -> dict[str, float]:
    """Each series of a page, as it stands there, and its value."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def page(metrics: Metrics) -> str:
    return exposition(FAMILIES, metrics.snapshot())[0].decode()


def test_an_observation_at_a_bound_is_in_the_bucket_of_that_bound(metrics: Metrics) -> None:
    for value in (0.1, 0.1001, 10.0, 11.0):
        metrics.observe(SECONDS, value, "poll")
    told = values_of(page(metrics))
    assert [
        told[f'tandem_wait_seconds_bucket{{le="{le}",step="poll"}}'] for le in ("0.1", "1.0", "10.0")
    ] == [
        1,
        2,
        3,
    ]
    assert told['tandem_wait_seconds_bucket{le="+Inf",step="poll"}'] == 4
    assert told['tandem_wait_seconds_count{step="poll"}'] == 4
    assert told['tandem_wait_seconds_sum{step="poll"}'] == pytest.approx(21.2001)


@given(st.lists(st.floats(0, 100) | st.sampled_from([0.1, 1.0, 10.0]), max_size=40))
def test_an_array_counts_as_its_values_one_by_one(values: list[float]) -> None:
    one_by_one, at_once = Metrics(FAMILIES), Metrics(FAMILIES)
    for value in values:
        one_by_one.observe(SECONDS, value, "poll")
    at_once.observe_all(SECONDS, np.array(values, dtype=np.float64), "poll")
    ((_, single),) = one_by_one.snapshot()[SECONDS.name] or [([], [0.0] * 5)]
    ((_, many),) = at_once.snapshot()[SECONDS.name]
    assert isinstance(single, list)
    assert isinstance(many, list)
    assert many[:-1] == single[:-1]
    assert many[-1] == pytest.approx(single[-1])


def test_a_snapshot_is_not_changed_by_what_comes_after(metrics: Metrics) -> None:
    metrics.observe(SECONDS, 5, "poll")
    metrics.add(COUNTER, 1, "a")
    before = metrics.snapshot()
    copy = json.loads(json.dumps(before))
    metrics.observe(SECONDS, 5, "poll")
    metrics.add(COUNTER, 1, "a")
    assert json.loads(json.dumps(before)) == copy


def test_several_processes_add_up_and_gauges_go_by_their_family() -> None:
    first, second = Metrics(FAMILIES), Metrics(FAMILIES)
    for one, level in ((first, 3), (second, 5)):
        one.add(COUNTER, level, "a")
        one.observe(SECONDS, level, "poll")
        for gauge in (GAUGE, LARGEST, SMALLEST):
            one.set(gauge, level)
    second.add(COUNTER, 2, "b")
    # As it comes out of a pipe.
    sent: list[Any] = json.loads(json.dumps([first.snapshot(), second.snapshot()]))
    merged = merge(FAMILIES, sent)
    told = values_of(exposition(FAMILIES, merged)[0].decode())
    assert (told['tandem_things_total{kind="a"}'], told['tandem_things_total{kind="b"}']) == (8, 2)
    assert (told["tandem_level"], told["tandem_largest"], told["tandem_smallest"]) == (8, 5, 3)
    assert told['tandem_wait_seconds_bucket{le="10.0",step="poll"}'] == 2
    assert told['tandem_wait_seconds_sum{step="poll"}'] == 8
    assert sent == json.loads(json.dumps([first.snapshot(), second.snapshot()]))


def test_of_a_process_that_has_ended_counters_and_histograms_last(metrics: Metrics) -> None:
    metrics.add(COUNTER, 1, "a")
    metrics.set(GAUGE, 1)
    metrics.observe(SECONDS, 1, "poll")
    assert lasting(FAMILIES, metrics.snapshot()).keys() == {COUNTER.name, SECONDS.name}


def test_replacing_a_gauge_removes_its_other_series() -> None:
    family = Family("tandem_lag", "gauge", "Lag.", ("partition",))
    metrics = Metrics([family])
    metrics.set(family, 1, "0")
    metrics.replace(family, {("1",): 2.0})
    assert metrics.snapshot() == {"tandem_lag": [(["1"], 2.0)]}


def test_the_page_stands_up_to_promtools_rules_and_names_families_without_a_series(metrics: Metrics) -> None:
    metrics.add(COUNTER, 1, 'quoted "a"\nb\\')
    metrics.observe(SECONDS, 1, "poll")
    text = page(metrics)
    assert problems(text) == []
    (counter,) = [f for f in text_string_to_metric_families(text) if f.name == "tandem_things"]
    assert counter.samples[0].labels == {"kind": 'quoted "a"\nb\\'}
    for family in FAMILIES:
        assert f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n" in text


def test_openmetrics_is_given_to_whoever_names_it_with_its_units(metrics: Metrics) -> None:
    metrics.add(COUNTER, 1, "a")
    metrics.observe(SECONDS, 1, "poll")
    body, kind = exposition(FAMILIES, metrics.snapshot(), "application/openmetrics-text;version=1.0.0,*/*")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    parsed = openmetrics_families(body.decode())  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    assert families["tandem_wait_seconds"].unit == "seconds"
    assert families["tandem_things"].samples[0].name == "tandem_things_total"
    assert exposition(FAMILIES, metrics.snapshot(), "text/html")[1].startswith("text/plain; version=0.0.4")


BAD_PAGES = {
    "has no HELP": "# TYPE tandem_a gauge\ntandem_a 1\n",
    "has no TYPE": "# HELP tandem_a A.\ntandem_a 1\n",
    "no help text": "# HELP tandem_a \n# TYPE tandem_a gauge\ntandem_a 1\n",
    "end in _total": "# HELP tandem_a A.\n# TYPE tandem_a counter\ntandem_a 1\n",
    "stands there 2 times": "# HELP tandem_a A.\n# TYPE tandem_a gauge\ntandem_a 1\ntandem_a 1\n",
    "base unit": "# HELP tandem_a_ms A.\n# TYPE tandem_a_ms gauge\ntandem_a_ms 1\n",
    "the unit stands last": "# HELP tandem_seconds_a A.\n# TYPE tandem_seconds_a gauge\ntandem_seconds_a 1\n",
    "the type stands": "# HELP tandem_a_gauge A.\n# TYPE tandem_a_gauge gauge\ntandem_a_gauge 1\n",
    "snake case": "# HELP tandem_aB A.\n# TYPE tandem_aB gauge\ntandem_aB 1\n",
    "not cumulative": "# HELP tandem_a A.\n# TYPE tandem_a histogram\n"
    'tandem_a_bucket{le="1"} 2\ntandem_a_bucket{le="+Inf"} 1\ntandem_a_count 1\ntandem_a_sum 1\n',
    "is not the count": "# HELP tandem_a A.\n# TYPE tandem_a histogram\n"
    'tandem_a_bucket{le="1"} 1\ntandem_a_bucket{le="+Inf"} 2\ntandem_a_count 3\ntandem_a_sum 1\n',
    "values of key": "# HELP tandem_a A.\n# TYPE tandem_a gauge\n"
    + "".join(f'tandem_a{{key="{number}"}} 1\n' for number in range(201)),
}


@pytest.mark.parametrize("fault", BAD_PAGES)
def test_the_lint_finds_what_it_is_for(fault: str) -> None:
    assert any(fault in problem for problem in problems(BAD_PAGES[fault]))


def test_a_snapshots_series_and_buckets_can_be_read_back(metrics: Metrics) -> None:
    metrics.add(COUNTER, 2, "a")
    metrics.add(COUNTER, 3, "b")
    metrics.set(GAUGE, 7)
    metrics.observe(SECONDS, 0.5, "poll")
    metrics.observe(SECONDS, 0.7, "score")
    metrics.observe(SECONDS, 11.0, "score")
    snapshot = json.loads(json.dumps(metrics.snapshot()))
    assert numbers(snapshot, COUNTER) == {("a",): 2, ("b",): 3}
    assert numbers(snapshot, GAUGE) == {(): 7}
    assert buckets(snapshot, SECONDS) == [0, 2, 0, 1]
    assert (numbers({}, COUNTER), buckets({}, SECONDS)) == ({}, [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("counts", "share", "found"),
    [
        ([0, 0, 0, 0], 0.5, None),
        ([10, 0, 0, 0], 0.5, 0.05),
        ([0, 10, 0, 0], 0.5, 0.55),
        ([0, 10, 0, 0], 1.0, 1.0),
        ([5, 0, 5, 0], 0.5, 0.1),
        ([5, 0, 5, 0], 0.6, 2.8),
        ([1, 0, 0, 99], 0.5, 10.0),
    ],
)
def test_a_quantile_is_found_in_its_bucket_as_prometheus_finds_it(
    counts: list[float], share: float, found: float | None
) -> None:
    assert quantile(SECONDS.bounds, counts, share) == (None if found is None else pytest.approx(found))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_observation_that_it_is_about(
    values: list[float], share: float
) -> None:
    metrics = Metrics(FAMILIES)
    metrics.observe_all(SECONDS, np.array(values), "poll")
    found = quantile(SECONDS.bounds, buckets(metrics.snapshot(), SECONDS), share)
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    place = int(np.searchsorted(SECONDS.bounds, exact))
    lower, upper = (0.0, *SECONDS.bounds)[place], SECONDS.bounds[place]
    assert found is not None
    assert lower - 1e-9 <= found <= upper + 1e-9
