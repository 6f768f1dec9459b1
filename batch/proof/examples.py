"""Events on which a proof failed, for people."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from batch.proof.answers import PREDICTION
from batch.proof.classes import AGREEING, CLASSES, CODES, Found
from batch.proof.fields import bits_of, decision_of, decoded, number_of
from batch.proof.judged import NOT_SCORED, REJECTED, TRUE, Judged
from batch.proof.result import Answer, Example
from shared.models.directory import Model
from shared.position import position_of
from shared.visible import visible

#: Classes that need no example.
WELL: Final = (*AGREEING, Found.NOT_SAMPLED)
_SENTENCES: Final = {
    Found.MISSING: "no prediction and no dead letter is of this event",
    Found.OUT_OF_ORDER: "the prediction stands before that of an earlier event of the same key",
}
# So many bytes of an event are told.
_MOST_BYTES: Final = 2000
_MOST_KEY: Final = 100


class Examples:
    """The first events of each class in which something is wrong.

    Args:
        topics: By role (events, predictions, dead-letters) the topic.
        most: How many of each class.
    """

    def __init__(self, topics: Mapping[str, str], most: int) -> None:
        self._topics = topics
        self._most = most
        self._found: dict[Found, list[Example]] = {found: [] for found in CLASSES if found not in WELL}

    def add(self, judged: Judged) -> None:
        """Takes in the next window."""
        for found, examples in self._found.items():
            wanted = self._most - len(examples)
            if wanted > 0:
                rows = (judged.codes == CODES[found]).nonzero()[0][:wanted]
                examples += [self._example(judged, found, row) for row in rows.tolist()]

    @property
    def all(self) -> list[Example]:
        """They, by class and offset."""
        return [example for examples in self._found.values() for example in examples]

    def _example(self, judged: Judged, found: Found, row: int) -> Example:
        window, answers = judged.matched.window, judged.matched.answers.of(row)
        value = judged.matched.values[row]
        difference = judged.differences.get(row)
        stream = [self._answer(judged, row, answer) for answer in answers]
        batch = _batch_answer(judged, row)
        return Example(
            found=found,
            position=position_of(window.topic, window.partition, judged.offsets[row]),
            event=None if value is None else visible(value, _MOST_BYTES),
            stream=stream,
            batch=batch,
            field=difference and difference.field,
            stream_value=difference and difference.stream_value,
            batch_value=difference and difference.batch_value,
            detail=_said_of(judged, found, row) or _detail(found, stream, batch),
        )

    def _answer(self, judged: Judged, row: int, answer: Mapping[str, Any]) -> Answer:
        """One of the stream's answers."""
        is_prediction = answer["kind"] == PREDICTION
        topic = self._topics["predictions" if is_prediction else "dead-letters"]
        told: dict[str, Any] = {"reason": answer["reason"]}
        if is_prediction:
            used = int(judged.predictors[row])
            model = judged.used[used].model if used >= 0 else None
            told = _prediction(answer["value"], model)
        return Answer(
            **told,
            model=" ".join(filter(None, (answer["model"], answer["model_sha256"]))),
            position=f"{topic}/{answer['at_partition']}/{answer['at_offset']}",
        )


def _prediction(value: bytes | None, model: Model | None) -> dict[str, Any]:
    fields = decoded(value)
    score = number_of((fields or {}).get("score"))
    return {
        "score": score,
        "bits": None if score is None else bits_of(score),
        "decision": decision_of(fields, None if model is None else model.decision_name),
    }


def _batch_answer(judged: Judged, row: int) -> Answer | None:
    said = int(judged.batch[row])
    if said == NOT_SCORED:
        return None
    model = judged.used[int(judged.predictors[row])].model
    name = f"{model.id} {model.short_sha256}"
    if said == REJECTED:
        return Answer(reason=str(judged.reasons[row].reason), model=name)
    score = float(judged.scores[row])
    return Answer(score=score, bits=bits_of(score), decision=said == TRUE, model=name)


def _said_of(judged: Judged, found: Found, row: int) -> str | None:
    """What the event itself shows to be wrong with it, in a sentence."""
    if found is not Found.MISPLACED:
        difference = judged.differences.get(row)
        return None if difference is None else difference.detail
    window, (answer, *_) = judged.matched.window, judged.matched.answers.of(row)
    if answer["at_partition"] != window.partition:
        return f"the answer stands on partition {answer['at_partition']}, the event on {window.partition}"
    key = window.events.column("key")[row].as_py()
    return f"the answer stands under {_key(answer['key'])}, the event under {_key(key)}"


def _key(key: bytes | None) -> str:
    return "no key" if key is None else f"the key {visible(key, _MOST_KEY)!r}"


def _detail(found: Found, stream: Sequence[Answer], batch: Answer | None) -> str:
    """In a sentence what is wrong with an event of which the class says most."""
    match found:
        case Found.MISSING | Found.OUT_OF_ORDER:
            return _SENTENCES[found]
        case Found.DUPLICATED:
            letters = sum(answer.reason is not None for answer in stream)
            return f"{len(stream) - letters} predictions and {letters} dead letters are of this event"
        case Found.UNKNOWN_MODEL:
            return f"{stream[0].model} is not among the models given: add it with --model"
    said = [f"rejected it as {a.reason}" if a and a.reason else "scored it" for a in (stream[0], batch)]
    return f"the stream {said[0]}, the batch path {said[1]}"
