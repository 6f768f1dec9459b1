"""Sketches: what they hold, how near their shares are, and what they refuse."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shared.frame import Column, Frame
from shared.schema import Input, Schema
from shared.sketches.feature import FeatureSketch
from shared.sketches.number import NumberSketch
from shared.sketches.sample import MOST, Sample
from shared.sketches.sketches import Sketches
from shared.sketches.values import TextSpread, ValueCounts
from tests.support.frames import EVERY_TYPE, made_up

Floats = npt.NDArray[np.float64]
RANDOM = np.random.default_rng(7)
SPREADS: dict[str, Floats] = {
    "even": RANDOM.random(100_000),
    "long-tailed": RANDOM.lognormal(0, 2, 100_000),
    "whole": RANDOM.integers(0, 73, 100_000).astype(np.float64),
    "negative": -RANDOM.gamma(2, 50, 100_000),
}


def fed(sketch: FeatureSketch, column: Column) -> None:
    """Feeds a sketch its first rows, in one batch."""
    sample = Sample()
    sketch.add(column, sample.extend(len(column)), sample.level)


def number(values: Floats, kind: Any = "number", parts: int = 1) -> NumberSketch:
    """The sketch of numbers, merged of so many parts."""
    whole = NumberSketch(kind)
    for part in np.array_split(values, parts):
        sketch = NumberSketch(kind)
        fed(sketch, part)
        whole.merge(sketch)
    return whole


def counts(found: dict[str, Any]) -> tuple[int, int]:
    return found["count"], found["missing"]


def test_counts_missing_values_and_bounds_are_exact() -> None:
    frame, scores = made_up(3 * MOST)
    sketches = Sketches.of(EVERY_TYPE)
    sketches.add(frame, scores, scores > 0.5)
    found = sketches.to_json()
    total, missing = frame.columns["total"], int(np.isnan(frame.columns["total"]).sum())
    assert missing > 0
    assert counts(found["features"]["total"]) == (frame.count - missing, missing)
    assert found["features"]["total"]["minimum"] == np.nanmin(total)
    assert found["features"]["total"]["maximum"] == np.nanmax(total)
    for name, values in (("contract", ("monthly", "yearly", "é")), ("town", None)):
        codes, told = frame.columns[name], found["features"][name]
        names = values or tuple(f"town {n}" for n in range(40))
        assert told["values"] == {
            value: int(np.count_nonzero(codes == code)) for code, value in enumerate(names)
        }
        assert counts(told) == (int((codes >= 0).sum()), int((codes < 0).sum()))
    partner = frame.columns["partner"]
    assert found["features"]["partner"]["values"] == {
        "false": int((partner == 0).sum()),
        "true": int((partner == 1).sum()),
    }
    assert found["decision"]["values"]["true"] == int((scores > 0.5).sum())
    assert (found["score"]["count"], found["rows"]) == (frame.count, frame.count)


@pytest.mark.parametrize("parts", [1, 30])
@pytest.mark.parametrize("name", SPREADS)
def test_shares_are_within_what_sample_and_digest_allow(name: str, parts: int) -> None:
    values = SPREADS[name]
    sketch = number(values, parts=parts)
    # Three standard errors of the sample, and half a percent for the digest.
    allowed = 1.5 / np.sqrt(sketch.weight) + 0.005
    spread = sketch.spread()
    for value in np.quantile(values, np.linspace(0.01, 0.99, 50)):
        true = (np.mean(values < value) + np.mean(values <= value)) / 2
        assert spread.share(float(value)) == pytest.approx(true, abs=allowed)


def test_a_part_of_few_rows_weighs_no_more_than_its_rows() -> None:
    """All of a small part is taken, and one in many of a large one."""
    sketch = number(np.zeros(MOST))
    sketch.merge(number(np.full(15 * MOST, 10.0)))
    assert len(sketch.digests()) == 2
    assert sketch.spread().share(5.0) == pytest.approx(1 / 16, abs=0.005)


@pytest.mark.parametrize(
    ("rows", "least"), [(10, 10), (MOST, MOST), (MOST + 1, MOST // 2), (80_000, MOST // 2)]
)
def test_the_sample_is_worth_all_of_a_few_rows_and_half_the_most_of_many(rows: int, least: int) -> None:
    assert least <= number(SPREADS["even"][:rows]).weight <= MOST


def test_quantiles_for_people_are_whole_for_whole_numbers() -> None:
    sketch = number(SPREADS["whole"], "integer", parts=30).to_json()
    assert sketch["quantiles"]["p50"] in (35.0, 36.0, 37.0)
    assert (sketch["minimum"], sketch["maximum"]) == (0.0, 72.0)
    assert number(SPREADS["even"]).to_json()["quantiles"]["p25"] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("values", [[1.7e308, -1.7e308, 0.0], [5e-324, 0.0], [3.0], []])
def test_the_largest_the_smallest_and_no_numbers_at_all(values: list[float]) -> None:
    sketch = number(np.array(values, np.float64), parts=2)
    found = json.loads(json.dumps(sketch.to_json(), allow_nan=False))
    assert (found.get("minimum"), found.get("maximum")) == (
        min(values, default=None),
        max(values, default=None),
    )
    assert sketch.spread().share(0.0) <= sketch.spread().share(1.0) <= 1.0


def test_missing_numbers_are_no_numbers() -> None:
    sketch = number(np.array([np.nan, 2.0, np.nan]))
    assert (sketch.count, sketch.missing, sketch.lowest, sketch.highest) == (1, 2, 2.0, 2.0)
    assert number(np.array([np.nan])).to_json()["quantiles"] == {}


def test_rows_without_a_score_are_sketched_all_the_same() -> None:
    schema = Schema(inputs=(Input(name="tenure", type="integer"),))
    sketches = Sketches.of(schema)
    sketches.add(Frame(3, {"tenure": np.arange(3.0)}), np.array([0.7]), np.array([True]))
    sketches.add(Frame(1, {"tenure": np.arange(1.0)}))
    assert (sketches.rows, sketches.features["tenure"].count, sketches.score.count) == (4, 4, 1)
    assert sketches.decision.counts == {"false": 0, "true": 1}


def test_no_text_is_kept() -> None:
    sketch, texts = TextSpread(), np.array(["Ada Lovelace", "\ud800", "Ada Lovelace"], object)
    fed(sketch, texts)
    assert "Ada" not in json.dumps(sketch.to_json())
    assert sorted(sketch.counts().tolist())[-2:] == [1.0, 2.0]


def test_texts_that_are_taken_stand_for_their_neighbours() -> None:
    sketch, rows = TextSpread(), 10 * MOST
    fed(sketch, np.array(["a"] * MOST + ["b"] * (rows - MOST), object))
    other = TextSpread()
    fed(other, np.array(["a"] * 100, object))
    sketch.merge(other)
    assert sorted(sketch.counts().tolist())[-2:] == pytest.approx(
        [MOST + 100, rows - MOST], abs=rows / MOST * 2
    )


def test_what_does_not_belong_together_is_not_merged() -> None:
    frame, _ = made_up(10)
    sketches = Sketches.of(EVERY_TYPE)
    sketches.add(frame)
    other = Sketches.of(Schema(inputs=EVERY_TYPE.inputs[:2]))
    with pytest.raises(ValueError, match="the same features"):
        sketches.merge(other)
    with pytest.raises(ValueError, match="the same values"):
        ValueCounts("ab").merge(ValueCounts("abc"))
    with pytest.raises(ValueError, match="numbers and the other integers"):
        NumberSketch("number").merge(NumberSketch("integer"))
    swapped = Sketches.of(EVERY_TYPE)
    swapped.features["charges"] = TextSpread()
    with pytest.raises(ValueError, match="another type"):
        sketches.merge(swapped)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["version"], 2, "version"),
        (["features", "charges", "type"], "matrix", "matrix"),
        (["features", "charges", "digests", 0, "digest"], "AAAA", "no t-digest"),
        (["features", "charges", "digests", 0, "digest"], "!", "base64"),
        (["features", "contract", "values", "yearly"], 99, "the count"),
        (["features", "note", "spread", 0, "bins"], [1], "64 bins"),
        (["score"], None, "score"),
    ],
)
def test_damaged_sketches_are_refused(path: list[Any], value: Any, said: str) -> None:
    sketches = Sketches.of(EVERY_TYPE)
    sketches.add(made_up(10)[0])
    found = json.loads(json.dumps(sketches.to_json()))
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=said):
        Sketches.from_json(found)
