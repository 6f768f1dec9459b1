"""What the benchmarks make of what they saw."""

import json

import pytest

from tests.benchmarks.contenders import AT_LEAST_ONCE, EXACTLY_ONCE
from tests.benchmarks.measure import Run, seconds_of
from tests.benchmarks.soak import summary
from tests.benchmarks.stream import FURTHER, Entry, Results, rows_of


def test_one_process_tells_its_seconds() -> None:
    said = 'a warning\n{"message": "Ready"}\n{"message": "Done", "seconds": 2.5}\n'
    assert seconds_of(said) == 2.5


def test_workers_took_from_the_first_ready_to_the_last_commit() -> None:
    lines = [
        {"worker": 0, "message": "Ready", "time": "2026-11-23T06:00:00.000+00:00"},
        {"worker": 1, "message": "Ready", "time": "2026-11-23T06:00:01.000+00:00"},
        {"worker": 0, "message": "Ready", "time": "2026-11-23T06:00:01.500+00:00"},
        {"worker": 1, "message": "Done", "seconds": 4.0},
        {"worker": 0, "message": "Done", "seconds": 4.5},
    ]
    assert seconds_of("\n".join(map(json.dumps, lines))) == pytest.approx(5.0)


def test_ratios_compare_contenders_under_one_guarantee() -> None:
    runs = {
        Entry("confluent_naive", AT_LEAST_ONCE): Run(100.0, 1.0, 10.0),
        Entry("confluent_expert", AT_LEAST_ONCE): Run(200.0, 1.0, 10.0),
        Entry("confluent_expert", EXACTLY_ONCE): Run(50.0, 1.0, 10.0),
        Entry("tandem", EXACTLY_ONCE): Run(150.0, 3.0, 10.0),
    }
    fewer = {entry: Run(1.0, 0.5, 10.0) for entry in runs}
    rows = rows_of(Results(2_000_000, runs), Results(1_000_000, fewer))
    tandem = next(row for row in rows if row["contender"] == "**Tandem**")
    assert tandem["of naive"] == 1.5
    assert tandem["of expert"] == 3.0
    assert tandem["CPU s a million"] == 1.5
    assert tandem[FURTHER] == 2.5


def test_growth_is_told_without_the_first_tenth() -> None:
    samples = [(100_000 * second, 100.0 if second < 10 else 150.0 + second) for second in range(1, 100)]
    tenths, slope = summary(samples, 10_000_000)
    assert tenths[0] == 100.0
    assert slope == pytest.approx(10.0)
