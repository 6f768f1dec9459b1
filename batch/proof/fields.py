"""Two predictions of one event, field by field: which of them differs, and what that makes of the event."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from batch.proof.classes import Found
from batch.ulps import ulps_between
from shared.models.directory import RESERVED_OUTPUTS
from shared.visible import visible

#: Which event a prediction says that it is of.
_IDS: Final = ("customer_id", "event_id")
# In this order a difference is told: what causes others comes first.
_TOLD_FIRST: Final = ("score", "threshold")
_MOST_TEXT: Final = 200
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between the answers of both paths to an event.

    Attributes:
        found: The class that this makes of the event.
        detail: In a sentence what is wrong.
        field: The first field that differs.
        stream_value: What the stream has there, as text; None where it has no such field.
        batch_value: What the batch path has there, likewise.
    """

    found: Found
    detail: str
    field: str | None = None
    stream_value: str | None = None
    batch_value: str | None = None


def decoded(value: bytes | None) -> dict[str, Any] | None:
    """A prediction's fields; None when it is no JSON object. NaN and infinities may be in it."""
    try:
        found = msgspec.json.decode(value or b"")
    except (ValueError, RecursionError):
        try:
            found = json.loads(value or b"")
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def difference(stream: bytes | None, batch: bytes, decision: str) -> Difference | None:
    """Compares predictions whose bytes differ.

    Args:
        stream: What the stream wrote.
        batch: What it should have written.
        decision: The field that says whether the score is above the threshold.

    Returns:
        None when they say the same, written otherwise: other spaces, or another order of fields.
    """
    theirs, ours = decoded(stream), msgspec.json.decode(batch)
    if theirs is None:
        told = text_of((stream or b"").decode(errors="replace"))
        return Difference(
            Found.OTHER_DECISION, "the stream's prediction is no JSON object", None, told, text_of(ours)
        )
    for name in _IDS:
        if not _same(theirs.get(name, _ABSENT), ours.get(name, _ABSENT)):
            detail = f"the prediction is of another event: its {name} is not the event's"
            return _told(Found.OTHER_INPUT, name, theirs, ours, detail)
    names = [*_TOLD_FIRST, *(name for name in (*ours, *theirs) if name not in _TOLD_FIRST)]
    differing = [n for n in names if not _same(theirs.get(n, _ABSENT), ours.get(n, _ABSENT))]
    if not differing:
        return None
    found = Found.OTHER_DECISION if decision in differing else Found.OTHER_BITS
    return _told(found, differing[0], theirs, ours, _sentence(differing[0], theirs, ours))


def decision_of(prediction: Mapping[str, Any] | None, name: str | None) -> bool | None:
    """The decision in a prediction; None when it has none that can be read.

    Args:
        prediction: Its fields.
        name: The decision's; None when the model is not known: then it is the one field that is none of
            those that every prediction has.
    """
    if prediction is None:
        return None
    if name is None:
        others = [field for field in prediction if field not in RESERVED_OUTPUTS]
        name = others[0] if len(others) == 1 else None
    value = prediction.get(name) if name is not None else None
    return value if isinstance(value, bool) else None


def bits_of(score: float) -> str:
    """A float64 in hexadecimal: sign, exponent and mantissa, 16 digits."""
    return struct.pack(">d", score).hex()


def text_of(value: object) -> str:
    """A value for people, cut when it is long."""
    try:
        shown = value if isinstance(value, str | bytes) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        shown = "nested too deeply to be shown"
    return visible(shown, _MOST_TEXT)


def number_of(value: object) -> float | None:
    """A number as a float64, as JSON has it; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _same(left: object, right: object) -> bool:
    """Whether two values of JSON are the same: numbers to the bit of their float64, and true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, float) or isinstance(right, float):
        a, b = number_of(left), number_of(right)
        return a is not None and b is not None and bits_of(a) == bits_of(b)
    return type(left) is type(right) and left == right


def _told(
    found: Found, name: str, theirs: Mapping[str, Any], ours: Mapping[str, Any], detail: str
) -> Difference:
    stream, batch = (text_of(side[name]) if name in side else None for side in (theirs, ours))
    return Difference(found, detail, name, stream, batch)


def _sentence(name: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    if name not in theirs:
        return f"the stream's prediction has no {name}"
    if name not in ours:
        return f"the stream's prediction has a field more: {name}"
    stream, batch = number_of(theirs[name]), number_of(ours[name])
    if name != "score" or stream is None or batch is None or not math.isfinite(stream - batch):
        return f"{name} differs"
    with np.errstate(over="ignore"):
        rounded = float(np.float32(batch))
    if stream == rounded:
        return "the stream's score is the batch path's rounded to float32"
    apart = int(ulps_between(np.array([stream]), np.array([batch]))[0])
    return f"the scores are {apart:,} units in the last place apart"
