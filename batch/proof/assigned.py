"""Which model the batch path scores each event of a window with: the one that is stamped on its answer."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.proof.fields import decoded
from batch.proof.matching import Answers, Stamp
from batch.proof.models import Models
from shared.models.directory import Model

UNKNOWN: Final = -1
#: Stands for predictions that are not explained.
PLAIN: Final = -1
_CONTRIBUTIONS: Final = b'"contributions"'
_INPUT: Final = b'{"input":'


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """The models of a window's events.

    Attributes:
        models: Those that score.
        of_event: Which of them scores each event; UNKNOWN where the stamped one is not at hand.
        of_stamp: By stamp, all models that it may stand for: of a dead letter those of its id.
        newest: The model of the last event with an answer, in this window or before it.
    """

    models: list[Model]
    of_event: npt.NDArray[np.int64]
    of_stamp: list[list[Model]]
    newest: Model


def assign(models: Models, answers: Answers, newest: Model) -> Assigned:
    """Finds the model of each event; what has no answer is scored with that of the event before.

    Args:
        models: Those at hand.
        answers: Of the window's events.
        newest: The model of the last event before the window.
    """
    of_stamp = [_candidates(models, stamp) for stamp in answers.stamps]
    known = [newest]
    numbers = {_name(newest): 0}
    for model in (found[0] for found in of_stamp if found):
        if numbers.setdefault(_name(model), len(known)) == len(known):
            known.append(model)
    number = np.array([numbers[_name(f[0])] if f else UNKNOWN for f in of_stamp], np.int64)
    of_event = np.full(len(answers.first), UNKNOWN, np.int64)
    answered = answers.first >= 0
    of_event[answered] = number[answers.stamped[answers.first[answered]]]
    before = np.maximum.accumulate(np.where(of_event != UNKNOWN, np.arange(len(of_event)), -1))
    filled = np.where(before >= 0, of_event[before], 0) if len(before) else of_event
    last = known[int(filled[-1])] if len(filled) else newest
    return Assigned(known, np.where(answered, of_event, filled), of_stamp, last)


def contributions_of(value: bytes | None) -> int:
    """How many contributions a prediction has; PLAIN where it has none, as no stream that explains writes."""
    if value is None or _CONTRIBUTIONS not in value:
        return PLAIN
    # In a text of JSON no quote stands as it is, so that this is no part of any.
    if count := value.count(_INPUT):
        return count
    listed = (decoded(value) or {}).get("contributions")
    return len(listed) or PLAIN if isinstance(listed, list) else PLAIN


def _candidates(models: Models, stamp: Stamp) -> list[Model]:
    if stamp.sha256 is None:
        return [] if stamp.is_prediction else models.of_id(stamp.model)
    model = models.model(stamp.model, stamp.sha256)
    return [] if model is None else [model]


def _name(model: Model) -> tuple[str, str]:
    return model.id, model.short_sha256
