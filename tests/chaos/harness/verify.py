"""Compares what stands on the topics with what must: pure, and knows nothing of the consumer's code.

The input topic is the truth. Each of its positions must have one prediction or one dead letter, at the
event's key and partition, in the event's order, with what the stamped model version gives for it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tests.chaos.harness.events import GOOD, KIND, REASONS, SEQUENCE

Place = tuple[int, int]


class Fault(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    GAP = "gaps"
    DUPLICATE = "duplicates"
    UNKNOWN = "of no event"
    KEY = "wrong key or partition"
    ANSWER = "wrong answer"
    PARTITION_ORDER = "wrong order per partition"
    KEY_ORDER = "wrong order per key"


#: What at-least-once does not promise: what is done again stands there again, behind its successors.
ALLOWED_AT_LEAST_ONCE: Final = frozenset({Fault.DUPLICATE, Fault.PARTITION_ORDER, Fault.KEY_ORDER})


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands on a topic.

    Attributes:
        partition: Its partition.
        offset: Its offset there.
        key: Its key.
        value: Its bytes.
        headers: Its headers by name; of several with one name the last.
        timestamp: When the broker stored it, in milliseconds since the epoch.
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    timestamp: int = 0

    @property
    def place(self) -> Place:
        """Partition and offset."""
        return self.partition, self.offset


@dataclass(frozen=True, slots=True)
class Contents:
    """What stands on the topics of one deployment.

    Attributes:
        topic: The input topic's name.
        events: The input topic.
        predictions: The output topic.
        letters: The dead-letter topic.
        thresholds: Of each model that may have scored, by `name@version`.
    """

    topic: str
    events: Sequence[Record]
    predictions: Sequence[Record]
    letters: Sequence[Record]
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where.

    Attributes:
        fault: What.
        place: Partition and offset of the event that it is about, where there is one.
        detail: What stands there, for people.
    """

    fault: Fault
    place: Place | None
    detail: str

    def __str__(self) -> str:
        where = "" if self.place is None else f" {self.place[0]}/{self.place[1]}"
        return f"{self.fault}{where}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction or a dead letter, and the event that it is for.

    Attributes:
        record: As it stands there.
        place: Partition and offset of its event, as it says itself.
    """

    record: Record
    place: Place


@dataclass(slots=True)
class Findings:
    """All that is wrong with one deployment's topics, and what was counted on the way.

    Attributes:
        found: What is wrong.
        events: The input topic.
        predictions: Those that say for which event they are.
        letters: The same of dead letters.
        models: Predictions by the model that made them.
    """

    found: list[Finding] = field(default_factory=list)
    events: Sequence[Record] = ()
    predictions: list[Answer] = field(default_factory=list)
    letters: list[Answer] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)

    @property
    def stored(self) -> int:
        """Events on the input topic."""
        return len(self.events)

    @property
    def scored(self) -> int:
        """Events with a prediction."""
        return len({answer.place for answer in self.predictions})

    @property
    def rejected(self) -> int:
        """Events with a dead letter."""
        return len({answer.place for answer in self.letters})

    @property
    def counts(self) -> Counter[Fault]:
        """How often each fault was found."""
        return Counter(finding.fault for finding in self.found)

    def broken(self, allowed: frozenset[Fault] = frozenset()) -> list[Finding]:
        """What breaks a guarantee that allows some faults."""
        return [finding for finding in self.found if finding.fault not in allowed]


def verify(contents: Contents) -> Findings:
    """Holds the answers against the events."""
    events = {event.place: event for event in contents.events}
    findings = Findings(events=contents.events)
    found = findings.found
    predictions = findings.predictions = list(_placed(contents, contents.predictions, _predicted, found))
    letters = findings.letters = list(_placed(contents, contents.letters, _lettered, found))
    found += _missing(events, {answer.place for answer in (*predictions, *letters)})
    found += _repeated([*predictions, *letters])
    for answers in (predictions, letters):
        found += _out_of_order(answers, events)
        found += _misplaced(answers, events)
    found += _wrong_predictions(contents, predictions, events, findings.models)
    found += _wrong_letters(letters, events)
    return findings


def _predicted(record: Record) -> str:
    return str(json.loads(record.value or b"")["prediction_id"])


def _lettered(record: Record) -> str:
    told = record.headers
    return "/".join(told[f"tandem.{name}"].decode() for name in ("topic", "partition", "offset"))


def _placed(
    contents: Contents, records: Iterable[Record], position: Callable[[Record], str], found: list[Finding]
) -> Iterator[Answer]:
    """The answers to events that there are; the others are noted."""
    known = {event.place for event in contents.events}
    for record in records:
        try:
            topic, partition, offset = position(record).rsplit("/", 2)
            place = int(partition), int(offset)
        except (KeyError, TypeError, ValueError) as error:
            topic, place = repr(error), (-1, -1)
        if topic == contents.topic and place in known:
            yield Answer(record, place)
        else:
            detail = f"answer {record.place} says {topic} {place}"
            found.append(Finding(Fault.UNKNOWN, None, detail))


def _missing(events: Mapping[Place, Record], answered: set[Place]) -> Iterator[Finding]:
    """Each event without an answer is lost; those with later answers in their partition make a gap."""
    last: dict[int, int] = {}
    for partition, offset in answered:
        last[partition] = max(last.get(partition, -1), offset)
    in_gap: dict[int, bool] = {}
    for place in sorted(events):
        partition, offset = place
        lost = place not in answered
        if lost:
            yield Finding(Fault.LOST, place, f"{events[place].headers.get(KIND, b'').decode()} event")
            if offset < last.get(partition, -1) and not in_gap.get(partition):
                yield Finding(Fault.GAP, place, f"answers go on up to {last[partition]}")
        in_gap[partition] = lost


def _repeated(answers: Sequence[Answer]) -> Iterator[Finding]:
    places = defaultdict(list)
    for answer in answers:
        places[answer.place].append(answer.record.offset)
    for place, offsets in places.items():
        for _ in offsets[1:]:
            yield Finding(Fault.DUPLICATE, place, f"answered at {offsets}")


def _out_of_order(answers: Sequence[Answer], events: Mapping[Place, Record]) -> Iterator[Finding]:
    """Along each partition the events' offsets rise, and along each key the events' numbers."""
    in_partition: dict[int, int] = {}
    of_key: dict[bytes | None, int] = {}
    for answer in sorted(answers, key=lambda answer: answer.record.place):
        event, at = events[answer.place], answer.record.place
        before = in_partition.get(at[0], -1)
        if answer.place[1] <= before:
            yield Finding(Fault.PARTITION_ORDER, answer.place, f"stands at {at}, behind {before}")
        in_partition[at[0]] = max(before, answer.place[1])
        number, earlier = int(event.headers[SEQUENCE]), of_key.get(event.key, -1)
        if number <= earlier:
            yield Finding(Fault.KEY_ORDER, answer.place, f"{event.key!r}: {number} stands behind {earlier}")
        of_key[event.key] = max(earlier, number)


def _misplaced(answers: Sequence[Answer], events: Mapping[Place, Record]) -> Iterator[Finding]:
    for answer in answers:
        record, event = answer.record, events[answer.place]
        if (record.key, record.partition) != (event.key, event.partition):
            yield Finding(Fault.KEY, answer.place, f"stands in {record.partition} under {record.key!r}")


def _wrong_predictions(
    contents: Contents, answers: Sequence[Answer], events: Mapping[Place, Record], models: Counter[str]
) -> Iterator[Finding]:
    digests: dict[str, str] = {}
    for answer in answers:
        said = json.loads(answer.record.value or b"")
        model, digest = str(said.get("model")), str(said.pop("model_sha256", ""))
        models[model] += 1
        event = events[answer.place]
        right = _right_prediction(contents, answer.place, event, model)
        if said != right:
            yield Finding(Fault.ANSWER, answer.place, f"{said}, not {right}")
        elif digest != digests.setdefault(model, digest):
            yield Finding(Fault.ANSWER, answer.place, f"{model} is {digest}, and {digests[model]} elsewhere")


def _right_prediction(contents: Contents, place: Place, event: Record, model: str) -> dict[str, Any] | None:
    """The threshold rule, computed here once more; None when the event cannot have a prediction."""
    threshold = contents.thresholds.get(model)
    if event.headers[KIND].decode() != GOOD or threshold is None:
        return None
    sent = json.loads(event.value or b"")
    return {
        "prediction_id": f"{contents.topic}/{place[0]}/{place[1]}",
        "customer_id": sent["customer_id"],
        "event_id": sent["event_id"],
        "score": sent["feature"],
        "churn": sent["feature"] > threshold,
        "threshold": threshold,
        "model": model,
    }


def _wrong_letters(answers: Sequence[Answer], events: Mapping[Place, Record]) -> Iterator[Finding]:
    for answer in answers:
        record, event = answer.record, events[answer.place]
        kind, reason = event.headers[KIND].decode(), record.headers.get("tandem.reason", b"").decode()
        if REASONS.get(kind) != reason:
            yield Finding(Fault.ANSWER, answer.place, f"{kind} event rejected as {reason}")
        elif record.value != event.value:
            yield Finding(Fault.ANSWER, answer.place, "the letter does not hold the event's bytes")
