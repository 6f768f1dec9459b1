"""Events of a topic with the answers that an honest stream gave them, in which tests plant faults."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from batch.export import record_batch
from batch.proof.answers import ANSWERS, LETTER, PREDICTION
from batch.proof.judge import PartitionJudge
from batch.proof.models import Models
from batch.proof.result import Proof
from batch.proof.tally import Facts, Tally, proof_of
from batch.proof.window import Window
from batch.snapshots import snapshot_schema
from producer.generate import churn_customers
from producer.malformed import kinds_for, malformed_messages, mixed
from producer.message import Message, from_event
from shared.kafka.columns import RecordColumns
from shared.models.shipped import shipped_model
from shared.position import position_prefix
from shared.predict import Predictor
from shared.predictions import PredictionEncoder

TOPIC = "customers"
#: By role.
TOPICS = {"events": TOPIC, "predictions": "predictions", "dead-letters": "dead-letters"}
#: When the first event was sent, in milliseconds since the epoch; then one is sent each millisecond.
SENT = 1_800_000_000_000
#: How long each answer took, in milliseconds.
TAKEN = 40

AnswerRow = dict[str, Any]


@dataclass
class Recorded:
    """One partition of a topic and what the stream said of it. Tests change its parts as they like.

    Attributes:
        offsets: Of the events, ascending; transactions leave gaps.
        keys: Of the events.
        values: Of the events.
        answers: Rows of ANSWERS, in the order in which they were written.
        topic: The input topic.
        partition: Its partition.
    """

    offsets: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    answers: list[AnswerRow] = field(default_factory=list)
    topic: str = TOPIC
    partition: int = 0

    def copy(self) -> "Recorded":
        """The same again, for a fault to be planted in."""
        return deepcopy(self)

    @property
    def end(self) -> int:
        """The offset after the last event."""
        return self.offsets[-1] + 1 if self.offsets else 0

    def rekey(self, key: bytes | None, *offsets: int) -> None:
        """Gives events, and with them their answers, a key; all of them unless some are named."""
        wanted = set(offsets or self.offsets)
        self.keys = [key if at in wanted else old for at, old in zip(self.offsets, self.keys, strict=True)]
        for row in self.answers:
            if row["offset"] in wanted:
                row["key"] = key

    def answer(self, offset: int) -> AnswerRow:
        """The only answer to an event, to be changed in place."""
        (found,) = [row for row in self.answers if row["offset"] == offset]
        return found

    def predictions(self) -> list[AnswerRow]:
        """The predictions, to be changed in place."""
        return [row for row in self.answers if row["kind"] == PREDICTION]

    def letters(self) -> list[AnswerRow]:
        """The dead letters, to be changed in place."""
        return [row for row in self.answers if row["kind"] == LETTER]

    def windows(self, size: int = 65_536) -> list[Window]:
        """The events with their answers, so many offsets a window; a window of nothing is left out."""
        numbers = sorted({offset // size for offset in [*self.offsets, *self._answered]})
        return [self._window(number, size) for number in numbers]

    @property
    def _answered(self) -> list[int]:
        return [row["offset"] for row in self.answers]

    def _window(self, number: int, size: int) -> Window:
        rows = [row for row, offset in enumerate(self.offsets) if offset // size == number]
        answers = [row for row in self.answers if row["offset"] // size == number]
        later = [
            row["at_offset"]
            for row in self.answers
            if row["offset"] // size > number
            and row["kind"] == PREDICTION
            and row["at_partition"] == self.partition
        ]
        return Window(
            self.topic,
            self.partition,
            number,
            self._events(rows),
            answers_table(answers),
            min(later, default=None),
        )

    def _events(self, rows: Sequence[int]) -> pa.Table:
        columns = RecordColumns(
            self.topic,
            self.partition,
            [self.offsets[row] for row in rows],
            [SENT + self.offsets[row] for row in rows],
            [self.keys[row] for row in rows],
            [self.values[row] for row in rows],
        )
        return pa.Table.from_batches([record_batch(columns, snapshot_schema(None), None)])


def judged(made: Recorded, models: Models, size: int = 65_536, *, sample: float = 1.0) -> Tally:
    """What the judge finds in a partition.

    Args:
        made: The partition.
        models: The models at hand.
        size: Offsets of a window.
        sample: The share of events that are scored.
    """
    judge = PartitionJudge(models, TOPICS, sample=sample)
    for window in made.windows(size):
        judge.judge(window)
    return judge.tally(made.partition, 0, made.end)


def proved(*made: Recorded, models: Models, size: int = 65_536, **options: Any) -> Proof:
    """The proof of partitions; `options` are of `judged`."""
    tallies = [judged(one, models, size, **options) for one in made]
    return proof_of(tallies, models, Facts(TOPICS, sample=options.get("sample", 1.0)))


def answers_table(answers: Sequence[AnswerRow]) -> pa.Table:
    """Answers as a window has them."""
    names = ("offset", "kind", "at_partition", "at_offset")
    ordered = sorted(answers, key=lambda row: [row[name] for name in names])
    return pa.Table.from_pylist(ordered, schema=ANSWERS)


def churn_messages(count: int, seed: int = 1, bad: float = 0.01) -> list[Message]:
    """Churn events with the producer's malformed ones in between."""
    model = Predictor.load(shipped_model("churn")).model
    sound = (from_event(customer.event, "customerID") for customer in churn_customers(seed))
    # Those beyond the limit of a megabyte are many bytes for nothing here.
    kinds = kinds_for(model.schema)
    del kinds["too-large"]
    return list(islice(mixed(sound, malformed_messages(model, kinds, seed), bad, seed), count))


def recorded(
    messages: Sequence[Message],
    scorers: Sequence[Predictor],
    *,
    topic: str = TOPIC,
    partition: int = 0,
    start: int = 0,
    batch: int = 100,
) -> Recorded:
    """What an honest exactly-once stream makes of events: batch after batch, a transaction each.

    Args:
        messages: The events.
        scorers: The models, hot-swapped one after the other: each scores as many events.
        topic: The input topic.
        partition: Its partition, and that of all answers.
        start: The first offset.
        batch: Events of a transaction, the offset after which is its mark's, on every topic.
    """
    made = Recorded(topic=topic, partition=partition)
    placed = [start + row + row // batch for row in range(len(messages))]
    share = -(-len(messages) // len(scorers)) or 1
    ends = {PREDICTION: 0, LETTER: 0}
    for first in range(0, len(messages), batch):
        rows = range(first, min(first + batch, len(messages)))
        predictor = scorers[first // share]
        new = answers_of(
            predictor, [messages[row].value for row in rows], [placed[row] for row in rows], made
        )
        keys = {placed[row]: messages[row].key for row in rows}
        for row in new:
            row["key"] = keys[row["offset"]]
            row["at_offset"] = ends[row["kind"]]
            ends[row["kind"]] += 1
        ends = {kind: end + 1 for kind, end in ends.items()}
        made.answers += new
    made.offsets = placed
    made.keys, made.values = [list(column) for column in zip(*messages, strict=True)] or [[], []]
    return made


def answers_of(
    predictor: Predictor, values: Sequence[bytes | None], offsets: Sequence[int], made: Recorded
) -> list[AnswerRow]:
    """What the stream's path says of events, as rows of ANSWERS that stand nowhere yet."""
    outcome, model = predictor.score_json(values), predictor.model
    scored = [offsets[row] for row in outcome.rows.tolist()]
    encoded = PredictionEncoder(model).encode(outcome, position_prefix(made.topic, made.partition), scored)
    rows = [
        _row(made, offset, PREDICTION, model=model.id, model_sha256=model.short_sha256, value=value)
        for offset, value in zip(scored, encoded, strict=True)
    ]
    rows += [
        _row(
            made,
            offsets[rejection.row],
            LETTER,
            model=model.id,
            value=values[rejection.row],
            reason=str(rejection.reason),
        )
        for rejection in outcome.rejections
    ]
    return sorted(rows, key=lambda row: row["offset"])


def _row(made: Recorded, offset: int, kind: int, **told: Any) -> AnswerRow:
    empty = dict.fromkeys(("key", "model_sha256", "value", "reason", "bytes", "sha256", "stub"))
    return empty | {
        "partition": made.partition,
        "offset": offset,
        "kind": kind,
        "at_partition": made.partition,
        "at_offset": -1,
        "timestamp": SENT + offset + TAKEN,
        **told,
    }
