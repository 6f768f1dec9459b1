"""The sigmoid, and the linear model above it, are right and have the same bits everywhere."""

import hashlib
import json
import math
import os
import subprocess
import sys
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

from shared.events import EventParser
from shared.frame import Frame
from shared.models.directory import read_model
from shared.models.linear import LinearScorer
from shared.models.numerics import sigmoid
from shared.predict import Predictor
from shared.schema import Schema
from tests.support.models import INPUTS, WEIGHTS, linear_model

ROOT = Path(__file__).resolve().parents[3]
COUNT = 1_000_000
# From the smallest result to 1, and thickest where most scores are.
RANGES = ((-745.2, -700.0), (-700.0, -40.0), (-40.0, -1.0), (-1.0, 1.0), (1.0, 40.0), (30.0, 760.0))


def true_sigmoid(z: float) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        e = Decimal(-abs(z)).exp()
        return 1 / (1 + e) if z >= 0 else e / (1 + e)


def units_off(z: float, result: float) -> float:
    """How far a result is from the truth, in units of its last place."""
    truth = true_sigmoid(z)
    return float(abs(Decimal(result) - truth) / Decimal(math.ulp(float(truth))))


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_the_sigmoid_is_within_one_unit_in_the_last_place(low: float, high: float) -> None:
    values = np.random.default_rng(7).uniform(low, high, 2_000)
    worst = max(map(units_off, values.tolist(), sigmoid(values).tolist()))
    assert worst < 0.9


@given(st.floats(-800, 800))
@example(-745.13)
@example(-708.3964185322641)
@example(-36.7368005696771)
@example(36.7368005696771)
@example(5e-324)
@settings(max_examples=500, deadline=None)
def test_the_sigmoid_of_any_number_is_within_one_unit_in_the_last_place(z: float) -> None:
    assert units_off(z, sigmoid(np.array([z])).tolist()[0]) < 0.9


@pytest.mark.filterwarnings("error")
def test_the_sigmoid_s_limits() -> None:
    given_values = [0.0, -0.0, math.inf, -math.inf, 700.0, 750.0, -746.0, -750.0, 1e308, -1e308, -745.0]
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        results = sigmoid(np.array(given_values)).tolist()
    assert results == [0.5, 0.5, 1, 0, 1, 1, 0, 0, 1, 0, 5e-324]
    assert math.isnan(sigmoid(np.array([math.nan]))[0])


def test_the_sigmoid_never_falls() -> None:
    for low, high in ((-760, 760), (-40, 40), (-1, 1), (-1e-9, 1e-9)):
        grid = np.linspace(low, high, 200_001)
        assert (np.diff(sigmoid(grid)) >= 0).all()


def test_the_sigmoid_has_the_same_bits_in_any_layout() -> None:
    values = np.random.default_rng(3).uniform(-40, 40, 4_099)
    expected = sigmoid(values).tobytes()
    layouts = {
        "reversed": sigmoid(values[::-1])[::-1],
        "strided": sigmoid(np.repeat(values, 3)[::3]),
        "unaligned": sigmoid(np.frombuffer(b"\0" + values.tobytes(), np.uint8)[1:].view(np.float64)),
        "a column of rows": sigmoid(np.column_stack([values] * 3)[:, 1]),
        "one by one": np.array([sigmoid(values[place : place + 1])[0] for place in range(len(values))]),
    }
    for size in (2, 7, 50, 51, 4_096):
        pieces = [sigmoid(values[start : start + size]) for start in range(0, len(values), size)]
        layouts[f"in pieces of {size}"] = np.concatenate(pieces)
    assert {name: result.tobytes() == expected for name, result in layouts.items()} == dict.fromkeys(
        layouts, True
    )


def digests() -> dict[str, str]:
    """What must be the same on every CPU, over many values."""
    random = np.random.default_rng(11)
    values = random.uniform(-40, 40, COUNT)
    frame = Frame(
        COUNT,
        {
            "tenure": np.floor(random.uniform(0, 1200, COUNT)),
            "charges": random.uniform(0, 120, COUNT),
            "partner": np.floor(random.uniform(0, 2, COUNT)),
            "contract": random.integers(0, 3, COUNT, dtype=np.int32),
        },
    )
    coefficients = {"link": "logistic", "intercept": -0.38, "weights": WEIGHTS}
    scorer = LinearScorer.load(Schema.model_validate({"inputs": INPUTS}), json.dumps(coefficients).encode())
    results = {"sigmoid": sigmoid(values), "linear": scorer.score(frame), "numpy's exp": np.exp(values)}
    return {name: hashlib.sha256(result.tobytes()).hexdigest() for name, result in results.items()}


@pytest.mark.slow
def test_the_bits_do_not_depend_on_the_cpu_s_features() -> None:
    enabled = [
        name for name in _multiarray_umath.__cpu_dispatch__ if _multiarray_umath.__cpu_features__[name]
    ]
    if not enabled:
        pytest.skip("numpy dispatches to no optional feature of this CPU")
    program = f"import json, runpy; print(json.dumps(runpy.run_path({__file__!r})['digests']()))"
    plain = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(enabled), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    there, here = json.loads(plain.stdout), digests()
    # Not asserted, as it depends on the CPU: what numpy's own exp would have done.
    print("numpy's exp has other bits there:", there.pop("numpy's exp") != here.pop("numpy's exp"))
    assert there == here


def test_the_linear_model_is_a_plain_sum_in_the_declared_order(tmp_path: Path) -> None:
    model = read_model(linear_model(tmp_path / "m", link="identity"))
    random = np.random.default_rng(5)
    events = [
        {
            "customer_id": row,
            "tenure": int(random.integers(0, 1200)),
            "charges": float(random.uniform(0, 120)),
            "partner": bool(random.integers(0, 2)),
            "contract": ("monthly", "yearly", "é")[random.integers(0, 3)],
        }
        for row in range(500)
    ]
    expected = []
    for event in events:
        total = -0.38
        total += event["tenure"] * WEIGHTS["tenure"]
        total += event["charges"] * WEIGHTS["charges"]
        total += float(event["partner"]) * WEIGHTS["partner"]
        total += WEIGHTS["contract"][event["contract"]]
        expected.append(total)
    values = [json.dumps(event).encode() for event in events]
    assert Predictor(model).score_json(values).scores.tolist() == expected
    frame = EventParser(model.schema).parse(values).frame
    logistic = Predictor(read_model(linear_model(tmp_path / "l"))).score_json(values).scores
    assert logistic.tobytes() == sigmoid(model.scorer.score(frame)).tobytes()
