"""How events are divided, and that each division counts what a plain loop counts."""

import math
from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from batch.replaying import segments as module
from batch.replaying.pairs import Pairs
from batch.replaying.result import Flips
from batch.replaying.segments import MISSING, OTHERS, Division, Segments
from shared.frame import MISSING_CODE, Frame
from shared.schema import Input
from tests.support.frames import EVERY_TYPE, made_up
from tests.support.pairs import THRESHOLD, pairs_of

ROWS = 3_000
Counts = dict[tuple[str, str], tuple[int, int, int, float]]


def scored(rows: int = ROWS, seed: int = 1) -> tuple[Frame, Any, Any]:
    """Rows, and what two models say of them: the second says more of long contracts."""
    frame, before = made_up(rows, seed)
    after = np.clip(before + np.random.default_rng(seed + 1).normal(0.0, 0.02, rows), 0, 1)
    after += 0.2 * (frame.columns["contract"] == 1)
    return frame, before, after


def counted(pieces: list[Pairs]) -> Segments:
    found = Segments(EVERY_TYPE.features)
    for piece in pieces:
        found.add(piece)
    return found


def as_counts(flips: list[Flips]) -> Counts:
    return {
        (one.feature, one.segment): (one.events, one.raised, one.lowered, one.mean_change) for one in flips
    }


def plainly(frame: Frame, before: Any, after: Any) -> Counts:
    """The same by a plain loop, with labels found one value at a time."""
    named = {
        feature.name: labels(feature, frame.columns[feature.name].tolist()) for feature in EVERY_TYPE.features
    }
    events: dict[tuple[str, str], list[tuple[bool, bool, Fraction]]] = defaultdict(list)
    for name, column in named.items():
        for label, was, would in zip(column, before.tolist(), after.tolist(), strict=True):
            change = Fraction(would - was)
            events[name, label].append((was > THRESHOLD, would > THRESHOLD, change))
    return {
        key: (
            len(some),
            sum(not was and would for was, would, _ in some),
            sum(was and not would for was, would, _ in some),
            float(sum(change for _, _, change in some) / len(some)),
        )
        for key, some in events.items()
    }


def labels(feature: Input, values: list[Any]) -> list[str]:
    """The segment of each value."""
    if feature.type == "category":
        return [MISSING if code == MISSING_CODE else (feature.values or ())[code] for code in values]
    if feature.type == "boolean":
        return [MISSING if math.isnan(value) else ("true" if value else "false") for value in values]
    if feature.type == "string":
        return values
    ranked = sorted(value for value in values if not math.isnan(value))
    ends = [ranked[math.ceil(len(ranked) * part / 5) - 1] for part in range(1, 5)]
    return [
        MISSING if math.isnan(value) else of_number(value, ends, whole=feature.type == "integer")
        for value in values
    ]


def of_number(value: float, ends: list[float], *, whole: bool) -> str:
    place = sum(value > end for end in ends)
    if whole:
        low, high = (int(ends[place - 1]) + 1 if place else None), (int(ends[place]) if place < 4 else None)
        return f"up to {high}" if low is None else f"{low} or more" if high is None else f"{low} to {high}"
    if place == 0:
        return f"up to {ends[0]!r}"
    return f"over {ends[3]!r}" if place == 4 else f"over {ends[place - 1]!r} to {ends[place]!r}"


def test_counts_are_those_of_a_plain_loop() -> None:
    frame, before, after = scored()
    total, flips = counted([pairs_of(frame, before, after)]).found()
    assert as_counts(flips) == plainly(frame, before, after)
    flipped = (before > THRESHOLD) != (after > THRESHOLD)
    assert (total.events, total.flipped) == (ROWS, int(np.count_nonzero(flipped)))


@pytest.mark.parametrize("size", [1, 7, 1_000, ROWS])
def test_batch_size_changes_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where the first events, by which the segments are fixed, end within a batch."""
    monkeypatch.setattr(module, "SAMPLE", 500)
    frame, before, after = scored()

    def piece(start: int, stop: int) -> Pairs:
        rows = frame.slice(start, min(stop, ROWS))
        return pairs_of(rows, before[start:stop], after[start:stop], first=start)

    whole = counted([piece(0, ROWS)]).found()
    assert counted([piece(start, start + size) for start in range(0, ROWS, size)]).found() == whole


def test_order_changes_nothing() -> None:
    frame, before, after = scored()
    order = np.random.default_rng(9).permutation(ROWS)
    mixed = pairs_of(frame.take(order), before[order], after[order])
    assert counted([mixed]).found() == counted([pairs_of(frame, before, after)]).found()


def test_the_feature_with_the_most_flipped_segment_comes_first_and_is_marked() -> None:
    frame, before, after = scored()
    total, flips = counted([pairs_of(frame, before, after)]).found()
    first = flips[0]
    assert (first.feature, first.segment, first.beyond_chance) == ("contract", "yearly", True)
    assert first.share > 2 * total.share
    for feature in EVERY_TYPE.features:
        shares = [one.share for one in flips if one.feature == feature.name]
        assert shares == sorted(shares, reverse=True)
    # The other inputs have nothing to do with what flips.
    assert {one.feature for one in flips if one.beyond_chance} == {"contract"}


def test_too_few_events_are_never_marked() -> None:
    frame, before, after = scored(12)
    _, flips = counted([pairs_of(frame, before, after)]).found()
    assert flips
    assert not any(one.beyond_chance for one in flips)


def test_without_events_there_is_nothing() -> None:
    total, flips = counted([]).found()
    assert (total.events, total.share, flips) == (0, 0.0, [])


def test_few_numbers_are_a_segment_each_and_one_that_comes_later_is_among_the_others() -> None:
    division = Division(Input(name="n", type="number", missing="nan"), np.array([0.5, np.nan, 2.0, 0.5]))
    found = division.segments(np.array([2.0, 0.5, 3.0, np.nan, -1.0]))
    assert [division.labels[place] for place in found] == ["2", "0.5", OTHERS, MISSING, OTHERS]


def test_numbers_that_are_always_missing_are_missing() -> None:
    division = Division(Input(name="n", type="number", missing="nan"), np.array([np.nan]))
    assert [division.labels[place] for place in division.segments(np.array([np.nan, 1.0]))] == [
        MISSING,
        OTHERS,
    ]


def test_a_number_that_most_have_is_no_empty_range() -> None:
    values = np.array([0.0] * 90 + list(range(1, 11)), np.float64)
    division = Division(Input(name="n", type="integer"), values)
    assert division.labels == ["up to 0", "1 or more", OTHERS, MISSING]


def test_the_twenty_most_frequent_texts_are_told_apart() -> None:
    texts = [f"text {number:02}" for number in range(30) for _ in range(30 - number)]
    column = np.array([*texts, None], object)[:-1]
    division = Division(Input(name="note", type="string"), column)
    found = Counter(division.labels[place] for place in division.segments(column))
    assert found == {**{f"text {n:02}": 30 - n for n in range(20)}, OTHERS: sum(range(1, 11))}
