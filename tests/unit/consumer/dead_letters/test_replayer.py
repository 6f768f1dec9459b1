"""A replay does each letter once, all of it in one transaction, and believes the log alone."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from consumer.dead_letters.filters import Filter
from consumer.dead_letters.originals import GoneError, event_of
from consumer.dead_letters.replayer import Replayer
from consumer.dead_letters.selection import Left, Selection
from consumer.scoring import StreamScorer
from shared.dead_letters import Origin, told_by
from shared.deadline import Deadline
from shared.errors import FencedError, InputError, StalledError
from shared.kafka.columns import NewRecords, RecordColumns
from shared.kafka.errors import BrokerTroubleError, TransactionAbortedError
from shared.predict import Predictor
from shared.replay_log import Entry, Replayed, Standing, log_topic
from shared.schema import Reason
from tests.support.letters import EVENTS, LETTERS, NOW, letter
from tests.support.memory import MemoryKafka

GOOD = b'{"customer_id":1,"feature":0.7}'
LOG = log_topic(LETTERS)


@dataclass
class MemoryLog:
    """The log as it stands in a MemoryKafka."""

    kafka: MemoryKafka
    topic: str = LOG
    replayed: Replayed = field(default_factory=Replayed)

    def refresh(self) -> None:
        for records in self.kafka.visible:
            if records.topic == self.topic:
                self.replayed.enter(msgspec.json.decode(value or b"", type=Entry) for value in records.values)


class Lost(MemoryKafka):
    """A Kafka whose first commit is done, though its answer is lost."""

    def commit_transaction(self, deadline: Deadline) -> None:
        super().commit_transaction(deadline)
        if self.calls.count("commit_transaction") == 1:
            raise TransactionAbortedError("no answer came")

    def abort_transaction(self, deadline: Deadline) -> None:  # noqa: ARG002 - as a writer's
        self.calls.append("abort_transaction")


def nowhere(_topic: str, _partition: int, _offset: int) -> RecordColumns | None:
    return None


def replayer(
    kafka: MemoryKafka,
    log: MemoryLog | None = None,
    *,
    dry: bool = False,
    limit: int | None = None,
    max_attempts: int | None = None,
    chosen: Filter | None = None,
    find: Callable[[str, int, int], RecordColumns | None] = nowhere,
    timeout: float = 30,
) -> Replayer:
    """A replay with the lesson's model."""
    log = log or MemoryLog(kafka)
    predictor = Predictor.load(Path("models/threshold"))
    return Replayer(
        Selection(EVENTS, chosen or Filter(), max_attempts, log.replayed),
        StreamScorer(predictor, "predictions", LETTERS, kafka),
        find,
        log,
        sink=None if dry else kafka,
        model=predictor.model.id,
        timeout=timeout,
        limit=limit,
    )


def written(kafka: MemoryKafka) -> dict[str, list[NewRecords]]:
    """What a read_committed reader sees, by topic."""
    found: dict[str, list[NewRecords]] = {}
    for records in kafka.visible:
        found.setdefault(records.topic, []).append(records)
    return found


def test_what_scores_becomes_a_prediction_with_the_event_s_own_position_key_and_partition() -> None:
    kafka = MemoryKafka([])
    own = [("traceparent", b"00-1"), ("x", b"y")]
    one = replayer(kafka)
    one.replay([letter(GOOD, 42, at=7, partition=3, reason=Reason.WRONG_TYPE, own=own)])
    [predictions] = written(kafka)["predictions"]
    assert (predictions.partition, predictions.keys, predictions.headers) == (3, [b"k42"], [[own[0]]])
    assert json.loads(predictions.values[0] or b"")["prediction_id"] == "customers/3/42"
    assert LETTERS not in written(kafka)
    [log] = written(kafka)[LOG]
    assert (log.partition, log.keys) == (3, [f"customers/3/42@{NOW - 1}".encode()])
    assert json.loads(log.values[0] or b"") == {
        "position": "customers/3/42",
        "timestamp": NOW - 1,
        "attempt": 1,
        "outcome": "scored",
        "letter": "dead-letters/3/7",
        "model": "threshold@1",
    }
    assert one.result.changes == {("wrong_type", "scored"): 1}


def test_what_is_rejected_again_becomes_a_letter_of_the_next_attempt_with_the_event_s_own_headers() -> None:
    kafka = MemoryKafka([])
    one = replayer(kafka)
    one.replay([letter(b"[]", 5, at=1, partition=1, attempt=1, own=[("x", b"y")])])
    [again] = written(kafka)[LETTERS]
    assert (again.partition, again.keys, again.values) == (1, [b"k5"], [b"[]"])
    assert again.headers is not None
    assert again.headers[0][0] == ("x", b"y")
    told = told_by(again.headers[0])
    assert (told.attempt, told.reason) == (2, "not_object")
    assert told.origin == Origin(EVENTS, 1, 5, NOW - 1)
    assert (one.result.replayed, one.result.scored) == (1, 0)


def test_all_of_a_batch_is_one_transaction_the_log_included() -> None:
    kafka = MemoryKafka([], failures={"write": [], "commit_transaction": [FencedError("taken over")]})
    with pytest.raises(FencedError):
        replayer(kafka).replay([letter(GOOD, 1), letter(b"junk", 2), letter(GOOD, 3, partition=1)])
    assert kafka.visible == []
    assert kafka.calls == ["begin", *["write"] * 5, "commit_transaction"]


def test_a_letter_is_replayed_once_in_a_run_and_over_runs() -> None:
    kafka = MemoryKafka([])
    letters = [letter(GOOD, 1), letter(b"junk", 2)]
    one = replayer(kafka)
    for _ in range(2):
        one.replay([*letters, letter(GOOD, 1, at=9)])
    log = MemoryLog(kafka)
    log.refresh()
    other = replayer(kafka, log)
    other.replay(letters)
    assert {topic: sum(map(len, records)) for topic, records in written(kafka).items()} == {
        "predictions": 1, LETTERS: 1, LOG: 2,
    }  # fmt: skip
    assert (one.result.replayed, one.result.left) == (2, {Left.REPLAYED: 4})
    assert (other.result.replayed, other.result.left) == (0, {Left.REPLAYED: 2})


def test_of_an_event_s_letters_only_the_newest_is_replayed() -> None:
    kafka = MemoryKafka([])
    log = MemoryLog(kafka)
    replayer(kafka, log).replay([letter(b"junk", 2)])
    one = replayer(kafka, log)
    one.replay([letter(GOOD, 2), letter(GOOD, 2, at=5, attempt=2)])
    assert one.result.left == {Left.REPLAYED: 1}
    assert one.result.scored == 1
    assert [log.replayed.standing(letter(GOOD, 2, attempt=n).told) for n in (1, 2, 3)] == [
        Standing.REJECTED_AGAIN,
        Standing.SCORED,
        Standing.WAITING,
    ]


def test_topics_that_are_made_anew_use_positions_again_and_their_letters_wait() -> None:
    replayed = Replayed()
    replayed.enter([Entry("customers/0/1", NOW - 2, 1, "scored", "dead-letters/0/0", "m@1")])
    assert replayed.standing(letter(GOOD, 1).told) is Standing.WAITING


def test_a_later_attempt_that_the_log_does_not_know_is_refused() -> None:
    kafka = MemoryKafka([])
    with pytest.raises(InputError, match="does not know it"):
        replayer(kafka).replay([letter(GOOD, 1, attempt=2)])
    assert kafka.calls == []


def test_what_the_filters_leave_out_stays_to_be_replayed() -> None:
    kafka = MemoryKafka([])
    log = MemoryLog(kafka)
    one = replayer(kafka, log, chosen=Filter(reasons={Reason.WRONG_TYPE}))
    both = [letter(GOOD, 1, reason=Reason.WRONG_TYPE), letter(GOOD, 2)]
    one.replay(both)
    assert one.result.left == {Left.FILTERED: 1}
    other = replayer(kafka, log)
    other.replay(both)
    assert (other.result.scored, other.result.left) == (1, {Left.REPLAYED: 1})


def test_letters_of_another_topic_and_those_tried_too_often_are_left_alone() -> None:
    kafka = MemoryKafka([])
    log = MemoryLog(kafka)
    log.replayed.enter([Entry("customers/0/2", NOW - 1, 1, "rejected", "dead-letters/0/2", "m@1")])
    one = replayer(kafka, log, max_attempts=2)
    one.replay([letter(GOOD, 1, topic="others"), letter(GOOD, 2, attempt=2)])
    assert one.result.left == {Left.OTHER_TOPIC: 1, Left.TRIED_OUT: 1}
    assert kafka.visible == []


def test_a_limit_is_kept_over_batches() -> None:
    kafka = MemoryKafka([])
    one = replayer(kafka, limit=3)
    done = []
    for first in (1, 3):
        one.replay([letter(GOOD, first), letter(GOOD, first + 1)])
        done.append(one.done)
    assert done == [False, True]
    assert (one.result.replayed, one.result.left) == (3, {Left.BEYOND_LIMIT: 1})


def test_a_dry_run_counts_and_writes_nothing() -> None:
    kafka = MemoryKafka([])
    one = replayer(kafka, dry=True)
    one.replay([letter(GOOD, 1), letter(b"[]", 2)])
    assert one.result.changes == {("not_json", "scored"): 1, ("not_json", "not_object"): 1}
    assert (kafka.calls, kafka.visible) == ([], [])


@pytest.mark.parametrize("step", ["begin", "write", "commit_transaction"])
def test_a_transaction_that_fails_is_done_again_once(step: str) -> None:
    kafka = MemoryKafka([], failures={step: [BrokerTroubleError("away")]})
    one = replayer(kafka)
    one.replay([letter(GOOD, 1), letter(b"junk", 2)])
    assert {topic: sum(map(len, records)) for topic, records in written(kafka).items()} == {
        "predictions": 1, LETTERS: 1, LOG: 2,
    }  # fmt: skip
    assert one.result.replayed == 2
    assert ("abort_transaction" in kafka.calls) == (step != "begin")


def test_a_commit_whose_answer_was_lost_is_believed_when_the_log_has_it() -> None:
    kafka = Lost([])
    one = replayer(kafka)
    one.replay([letter(GOOD, 1), letter(b"junk", 2)])
    assert kafka.calls.count("commit_transaction") == 1
    assert (len(kafka.visible), one.result.replayed) == (3, 2)


def test_what_another_replay_did_meanwhile_is_not_done_again() -> None:
    kafka = MemoryKafka([], failures={"commit_transaction": [BrokerTroubleError("away")]})
    entry = Entry("customers/0/1", NOW - 1, 1, "scored", "dead-letters/0/1", "other@1")
    kafka.visible.append(NewRecords(LOG, 0, [entry.key], [msgspec.json.encode(entry)], NOW))
    one = replayer(kafka)
    one.replay([letter(GOOD, 1), letter(GOOD, 2)])
    [predictions] = written(kafka)["predictions"]
    assert predictions.keys == [b"k2"]
    assert (one.result.replayed, one.result.left) == (1, {Left.REPLAYED: 1})


def test_a_broker_that_never_commits_ends_the_replay() -> None:
    kafka = MemoryKafka([], failures={"commit_transaction": [BrokerTroubleError("away")] * 1000})
    with pytest.raises(StalledError, match="could not be committed"):
        replayer(kafka, timeout=0.01).replay([letter(GOOD, 1)])
    assert kafka.visible == []


def found(value: bytes | None, timestamp: int = NOW - 1) -> RecordColumns:
    """The event of a letter without bytes, as its topic holds it."""
    return RecordColumns(EVENTS, 0, [6], [timestamp], [b"long key"], [value], {0: [("x", b"y")]})


def test_bytes_that_were_left_out_are_fetched_from_the_event_s_position() -> None:
    kafka = MemoryKafka([])
    asked = []

    def find(*place: str | int) -> RecordColumns:
        asked.append(place)
        return found(b"[ ]")

    replayer(kafka, find=find).replay([letter(b"[ ]", 6, stub=True)])
    [again] = written(kafka)[LETTERS]
    assert asked == [(EVENTS, 0, 6)]
    assert (again.keys, again.values) == ([b"long key"], [b"[ ]"])


@pytest.mark.parametrize(
    ("stands", "why"),
    [
        (None, "holds no event any more"),
        (found(b"[x]"), "another event stands at customers/0/6"),
        (found(b"[ ]", timestamp=5), "another event stands at customers/0/6"),
        (found(None), "another event stands at customers/0/6"),
    ],
)
def test_bytes_that_are_gone_leave_their_letter_to_wait(stands: RecordColumns | None, why: str) -> None:
    stub = letter(b"[ ]", 6, stub=True)
    with pytest.raises(GoneError, match=why):
        event_of(stub, lambda *_: stands)
    kafka = MemoryKafka([])
    one = replayer(kafka, find=lambda *_: stands)
    one.replay([stub, letter(GOOD, 7)])
    assert one.result.left == Counter({Left.GONE: 1})
    assert one.result.scored == 1


def test_an_input_topic_that_is_gone_leaves_the_letter_to_wait() -> None:
    def find(*_: str | int) -> RecordColumns:
        raise InputError("there is no such topic")

    with pytest.raises(GoneError, match="there is no such topic"):
        event_of(letter(b"[ ]", 6, stub=True), find)
