"""What was counted of one partition; the tallies of all partitions make a proof."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from batch.proof.certificate import certificate
from batch.proof.classes import CLASSES, Found
from batch.proof.examples import WELL
from batch.proof.judged import BATCH_SAID, STREAM_SAID, UNREADABLE, Judged
from batch.proof.models import Models
from batch.proof.result import Example, Frozen, ModelProved, PartitionLedger, Proof
from batch.proof.spread import Latencies, Pace

Matrix = dict[str, dict[str, int]]


class Tally(Frozen):
    """What was found in one partition. It goes through JSON, so that a proof can be resumed.

    Attributes:
        ledger: Its books.
        matrix: By the stream's answer and the batch path's, the number of events.
        models: The models stamped on predictions.
        latency: From each event to its first answer.
        pace: When these answers were given.
        examples: The first events of each class in which something is wrong.
        scored: Events that the batch path scored.
        seconds: How long that took, comparing included.
    """

    ledger: PartitionLedger
    matrix: Matrix
    models: list[ModelProved]
    latency: Latencies
    pace: Pace
    examples: list[Example] = Field(default_factory=list)
    scored: int
    seconds: float


class Counts:
    """Adds up what is found in the windows of a partition."""

    def __init__(self) -> None:
        self.events = self.predictions = self.letters = self.of_no_event = self.scored = 0
        self.latency, self.pace = Latencies(), Pace()
        self._classes = np.zeros(len(CLASSES), np.int64)
        self._cells = np.zeros((UNREADABLE + 1, UNREADABLE + 1), np.int64)
        self._models: Counter[tuple[str, str]] = Counter()

    def add(self, judged: Judged) -> None:
        """Takes in the next window."""
        matched, answers = judged.matched, judged.matched.answers
        self.events += len(judged.codes)
        self.of_no_event += matched.of_no_event
        predictions = int(np.count_nonzero(answers.is_prediction))
        self.predictions += predictions
        self.letters += len(answers.rows) - predictions
        self.scored += sum(len(scored.rows) for scored in judged.scored)
        self._classes += np.bincount(judged.codes, minlength=len(CLASSES))
        np.add.at(self._cells, (judged.stream, judged.batch), 1)
        counts = np.bincount(answers.stamped, minlength=len(answers.stamps)).tolist()
        for stamp, count in zip(answers.stamps, counts, strict=True):
            if stamp.is_prediction:
                self._models[stamp.model, stamp.sha256 or ""] += count
        self._times(judged)

    @property
    def classes(self) -> dict[Found, int]:
        """Events by class, of the classes that occur."""
        return {found: count for found, count in zip(CLASSES, self._classes.tolist(), strict=True) if count}

    def matrix(self) -> Matrix:
        """The parity matrix; its last row only where it occurs."""
        matrix = {
            name: {batch: int(self._cells[said, code]) for code, batch in BATCH_SAID.items()}
            for said, name in STREAM_SAID.items()
        }
        if not self._cells[UNREADABLE].any():
            del matrix[STREAM_SAID[UNREADABLE]]
        return matrix

    def models(self, models: Models) -> list[ModelProved]:
        """The models stamped on predictions, by id and digest."""
        return [
            ModelProved(
                id=name, sha256=sha256, predictions=count, known=models.model(name, sha256) is not None
            )
            for (name, sha256), count in sorted(self._models.items())
        ]

    def _times(self, judged: Judged) -> None:
        answers = judged.matched.answers
        answered = answers.first >= 0
        given = answers.timestamps[answers.first[answered]]
        sent = judged.matched.timestamps[answered]
        self.latency = self.latency.with_times((given - sent)[(given >= 0) & (sent >= 0)])
        self.pace = self.pace.with_times(given)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a proof is of.

    Attributes:
        topics: By role (events, predictions, dead-letters) the topic.
        sample: The share of events that was scored.
        rows: What the certificate is to hold of the batch side, when it is not the topic's own events.
        pending: Events that the proof leaves out, since they were not committed.
        foreign: Records on the topics of answers that are none.
        examples: The most examples of a class.
        notes: What limits it, as sentences.
    """

    topics: Mapping[str, str]
    sample: float = 1.0
    rows: Mapping[str, Any] | None = None
    pending: int = 0
    foreign: int = 0
    examples: int = 3
    notes: Sequence[str] = ()


def proof_of(tallies: Sequence[Tally], models: Models, facts: Facts) -> Proof:
    """The proof that the tallies of all partitions make.

    Args:
        tallies: One a partition, in any order.
        models: The models at hand.
        facts: What they are of.
    """
    tallies = sorted(tallies, key=lambda tally: tally.ledger.partition)
    ledger = [tally.ledger for tally in tallies]
    counts: Counter[Found] = Counter()
    latency, pace = Latencies(), Pace()
    for tally in tallies:
        counts.update(tally.ledger.counts)
        latency, pace = latency.followed_by(tally.latency), pace.followed_by(tally.pace)
    proved = _models([tally.models for tally in tallies])
    certified = {
        # The answers' own topics may have any name.
        "topic": facts.topics["events"],
        "models": [[one.id, _full_digest(one, models), one.predictions] for one in proved],
        "sample": facts.sample,
        "foreign": facts.foreign,
        "rows": facts.rows,
    }
    scored, seconds = sum(tally.scored for tally in tallies), sum(tally.seconds for tally in tallies)
    return Proof(
        topics=dict(facts.topics),
        certificate=certificate(certified, ledger),
        counts={found: counts[found] for found in CLASSES},
        ledger=ledger,
        pending=facts.pending,
        foreign=facts.foreign,
        matrix=_matrix([tally.matrix for tally in tallies]),
        models=proved,
        latency=latency.histogram(),
        stream_rate=pace.busiest(),
        batch_rate=scored / seconds if scored and seconds else None,
        examples=_examples(tallies, facts.examples),
        notes=list(facts.notes),
    )


def _models(found: Sequence[Sequence[ModelProved]]) -> list[ModelProved]:
    counts: Counter[tuple[str, str, bool]] = Counter()
    for models in found:
        for model in models:
            counts[model.id, model.sha256, model.known] += model.predictions
    return [
        ModelProved(id=name, sha256=sha256, predictions=count, known=known)
        for (name, sha256, known), count in sorted(counts.items())
    ]


def _full_digest(proved: ModelProved, models: Models) -> str:
    model = models.model(proved.id, proved.sha256)
    return proved.sha256 if model is None else model.sha256


def _matrix(matrices: Sequence[Matrix]) -> Matrix:
    """The sums; of nothing, a matrix of zeros."""
    total = Counts().matrix()
    for matrix in matrices:
        for stream, row in matrix.items():
            of_stream = total.setdefault(stream, dict.fromkeys(row, 0))
            for batch, count in row.items():
                of_stream[batch] += count
    return total


def _examples(tallies: Sequence[Tally], most: int) -> list[Example]:
    everything = [example for tally in tallies for example in tally.examples]
    return [
        example
        for found in CLASSES
        if found not in WELL
        for example in [example for example in everything if example.found is found][:most]
    ]
