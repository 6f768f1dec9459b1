"""Latencies and the pace of answers add up, whatever they were cut into."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.proof.spread import Latencies, Pace

MILLISECONDS = st.integers(-5, 10) | st.integers(0, 10**7) | st.integers(0, 2**62)


@given(times=st.lists(MILLISECONDS, min_size=1, max_size=60), cut=st.integers(0, 60))
def test_latencies_of_parts_are_those_of_the_whole(times: list[int], cut: int) -> None:
    whole = Latencies().with_times(np.array(times, np.int64))
    parts = [Latencies().with_times(np.array(part, np.int64)) for part in (times[:cut], times[cut:])]
    assert parts[0].followed_by(parts[1]) == whole == parts[1].followed_by(parts[0])
    assert Latencies.model_validate_json(whole.model_dump_json()) == whole
    histogram = whole.histogram()
    assert histogram is not None
    assert sum(histogram.counts) == len(times)
    assert len(histogram.counts) == len(histogram.bounds) + 1
    assert histogram.counts[-1] == 0


def test_percentiles_are_at_most_a_hundredth_too_large() -> None:
    times = np.arange(1, 200_001)
    histogram = Latencies().with_times(times).histogram()
    assert histogram is not None
    assert 100 <= histogram.p50 <= 101
    assert 198 <= histogram.p99 <= 200
    assert histogram.largest == 200
    upto = dict(zip(histogram.bounds, np.cumsum(histogram.counts).tolist(), strict=False))
    assert upto[0.001] == 1
    assert upto[0.5] == 500
    assert upto[100.0] == 100_000


def test_no_answers_have_no_histogram_and_no_pace() -> None:
    assert Latencies().histogram() is None
    assert Pace().busiest() is None
    assert Pace().with_times(np.array([-1], np.int64)).busiest() is None


def test_the_busiest_second_is_found_wherever_it_begins() -> None:
    slow = np.arange(0, 60_000, 100)
    busy = np.full(500, 30_970)
    more = np.full(400, 31_650)
    pace = Pace().with_times(np.concatenate([slow, busy])).with_times(more)
    assert pace.busiest() == 500 + 400 + 10


@pytest.mark.parametrize("parts", [1, 7])
def test_a_long_time_is_counted_in_longer_slots(parts: int) -> None:
    seconds = np.arange(200_000, dtype=np.int64) * 1000
    pace = Pace()
    for part in np.array_split(seconds, parts):
        pace = pace.with_times(part)
    assert len(pace.slots) <= 65_536
    assert pace.width == 3200
    assert pace.busiest() == 4 / 3.2
    assert sum(pace.slots.values()) == 200_000
