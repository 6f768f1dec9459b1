"""The events and the scoring, for contenders that have msgspec: one by one, and on columns with numpy."""

import json
import math
from collections.abc import Sequence
from operator import attrgetter, mul
from typing import Any

import msgspec

from tests.benchmarks.model import FEATURES, INTERCEPT, MODEL_ID, MODEL_SHA256, THRESHOLD, WEIGHTS


class Prediction(msgspec.Struct, gc=False):
    """What is written for an event, with the fields that Tandem writes, in its order."""

    prediction_id: str
    customer_id: int
    event_id: str
    score: float
    churn: bool
    threshold: float = THRESHOLD
    model: str = MODEL_ID
    model_sha256: str = MODEL_SHA256


Event: Any = msgspec.defstruct(
    "Event", [("customer_id", int), ("event_id", str), *((name, float) for name in FEATURES)], gc=False
)
_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode
_features = attrgetter(*FEATURES)


def naive_prediction(topic: str, partition: int, offset: int, value: bytes) -> bytes:
    """One event with the standard library's json, as one writes it first."""
    event = json.loads(value)
    z = INTERCEPT + sum(weight * event[name] for name, weight in zip(FEATURES, WEIGHTS, strict=True))
    score = 1 / (1 + math.exp(-z))
    return json.dumps(
        {
            "prediction_id": f"{topic}/{partition}/{offset}",
            "customer_id": event["customer_id"],
            "event_id": event["event_id"],
            "score": score,
            "churn": score > THRESHOLD,
            "threshold": THRESHOLD,
            "model": MODEL_ID,
            "model_sha256": MODEL_SHA256,
        }
    ).encode()


def prediction(position: str, value: bytes) -> bytes:
    """One event, checked and written by msgspec, for a library that gives one at a time."""
    event = _decode(value)
    score = 1 / (1 + math.exp(-INTERCEPT - sum(map(mul, WEIGHTS, _features(event)))))
    return _encode(Prediction(position, event.customer_id, event.event_id, score, score > THRESHOLD))


def predictions(prefix: str, offsets: Sequence[int], values: Sequence[bytes]) -> list[bytes]:
    """Many events of one partition: checked and written by msgspec, scored by numpy on columns."""
    import numpy as np  # noqa: PLC0415 - not every contender's environment has it

    events = list(map(_decode, values))
    matrix = np.array(list(map(_features, events)))
    scores = 1 / (1 + np.exp(-(matrix @ np.array(WEIGHTS) + INTERCEPT)))
    rows = map(
        Prediction,
        [f"{prefix}{offset}" for offset in offsets],
        [event.customer_id for event in events],
        [event.event_id for event in events],
        scores.tolist(),
        (scores > THRESHOLD).tolist(),
    )
    return list(map(_encode, rows))
