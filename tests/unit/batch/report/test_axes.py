"""Axes have round ticks that do not run into each other."""

from itertools import pairwise

import pytest

from batch.report.axes import TICK_ROOM, Scale, round_ticks, time_ticks


@pytest.mark.parametrize(
    ("high", "ticks"),
    [
        (0.44, [0.0, 0.1, 0.2, 0.3, 0.4]),
        (1.06, [0.0, 0.5, 1.0]),
        (0.0021, [0.0, 0.0005, 0.001, 0.0015, 0.002]),
        (7_000.0, [0.0, 2_000.0, 4_000.0, 6_000.0]),
    ],
)
def test_ticks_are_round_and_begin_where_the_axis_does(high: float, ticks: list[float]) -> None:
    assert round_ticks(Scale(0.0, high, 0.0, 100.0), 5) == pytest.approx(ticks)


def test_a_logarithmic_axis_has_equal_steps_for_equal_ratios() -> None:
    scale = Scale(0.001, 1_000.0, 0.0, 600.0, logarithmic=True)
    assert [scale.at(10.0**power) for power in range(-3, 4)] == pytest.approx(
        [0, 100, 200, 300, 400, 500, 600]
    )


@pytest.mark.parametrize("high", [0.005, 0.5, 40.0, 4_000.0, 400_000.0, 4e7])
@pytest.mark.parametrize("width", [280.0, 800.0])
def test_times_on_an_axis_are_told_without_running_into_each_other(high: float, width: float) -> None:
    scale = Scale(0.0005, high, 0.0, width, logarithmic=True)
    ticks = time_ticks(scale)
    assert len(ticks) >= 2
    assert all(scale.at(later) - scale.at(one) >= TICK_ROOM for one, later in pairwise(ticks))


def test_what_is_beyond_an_axis_stands_at_its_end() -> None:
    scale = Scale(1.0, 10.0, 5.0, 15.0, logarithmic=True)
    assert (scale.at(0.0), scale.at(100.0)) == (5.0, 15.0)
