"""Sketches are a pure function of the rows, however these are cut; merging adds up what they have seen."""

import json
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.frame import Frame
from shared.sketches.sample import MOST, Sample
from shared.sketches.sketches import Sketches
from tests.support.frames import EVERY_TYPE, Scores, cut, made_up

LONGEST = 5 * MOST
CUTS = st.lists(st.integers(0, LONGEST), max_size=6)
FRAMES = {rows: made_up(rows) for rows in (0, 1, 70, MOST, MOST + 1, LONGEST)}
ROWS = st.sampled_from(sorted(FRAMES))


def sketched(batches: Iterable[tuple[Frame, Scores]]) -> Sketches:
    sketches = Sketches.of(EVERY_TYPE)
    for frame, scores in batches:
        sketches.add(frame, scores, scores > 0.5)
    return sketches


def text(sketches: Sketches) -> str:
    return json.dumps(sketches.to_json())


def read(sketches: Sketches) -> Sketches:
    return Sketches.from_json(json.loads(text(sketches)))


@given(ROWS, CUTS)
@settings(deadline=None, max_examples=40)
def test_batches_change_no_byte(rows: int, cuts: list[int]) -> None:
    frame, scores = FRAMES[rows]
    assert text(sketched(cut(frame, scores, cuts))) == text(sketched([(frame, scores)]))


@given(CUTS, st.lists(st.booleans(), min_size=7, max_size=7))
@settings(deadline=None, max_examples=30)
def test_a_part_that_was_read_from_a_journal_merges_as_one_that_was_just_made(
    cuts: list[int], journaled: list[bool]
) -> None:
    merged, resumed = Sketches.of(EVERY_TYPE), Sketches.of(EVERY_TYPE)
    for part, again in zip(cut(*FRAMES[LONGEST], cuts), journaled, strict=False):
        merged.merge(sketched([part]))
        resumed.merge(read(sketched([part])) if again else sketched([part]))
    assert text(resumed) == text(merged)


@given(ROWS, CUTS)
@settings(deadline=None, max_examples=30)
def test_merged_counts_are_those_of_all_rows(rows: int, cuts: list[int]) -> None:
    whole, merged = sketched([FRAMES[rows]]), Sketches.of(EVERY_TYPE)
    for part in cut(*FRAMES[rows], cuts):
        merged.merge(sketched([part]))
    assert exact(merged) == exact(whole)


def exact(sketches: Sketches) -> dict[str, object]:
    """All that is exact, which excludes what is made of a sample."""
    found = sketches.to_json()
    sampled = ("quantiles", "digests", "spread")
    columns = found["features"] | {"score of the model": found["score"], "decision": found["decision"]}
    return {
        name: {key: value for key, value in column.items() if key not in sampled}
        for name, column in columns.items()
    } | {"rows": found["rows"]}


@given(ROWS)
@settings(deadline=None)
def test_what_is_written_reads_back_as_the_same(rows: int) -> None:
    sketches = sketched([FRAMES[rows]])
    assert text(read(sketches)) == text(sketches)


@given(st.integers(0, LONGEST), CUTS)
def test_which_rows_are_taken_depends_on_their_place_alone(rows: int, cuts: list[int]) -> None:
    taken, sample = np.empty(0, np.int64), Sample()
    for start, stop in pairwise([0, *sorted(min(place, rows) for place in cuts), rows]):
        picked = sample.extend(stop - start)
        taken = np.concatenate([taken if picked.kept is None else taken[picked.kept], picked.new + start])
    whole = Sample()
    assert taken.tolist() == whole.extend(rows).new.tolist()
    assert (sample.rows, sample.level) == (whole.rows, whole.level)
    assert min(rows, MOST // 2) <= len(taken) <= MOST
    blocks = taken >> sample.level
    assert len(set(blocks.tolist())) == len(blocks)
    assert len(blocks) in (rows >> sample.level, (rows >> sample.level) + 1)
