"""What a proof covers is fixed once: what the group has committed, and all that was said of it by then."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.manifest import MANIFEST_FILE
from batch.proof.exports import plan_of_exports
from batch.proof.fixing import MARGIN_MS, fix
from batch.proof.plan import AnswerRange, EventRange, Plan, Role, since_of
from shared.errors import ConfigurationError, ExitCode, InputError, StalledError
from shared.kafka.columns import Mark
from shared.kafka.groups import PartitionLag
from shared.kafka.to_end import Extent
from shared.kafka.topics import TopicInfo
from tests.support.evidence import (
    EVENTS,
    LETTERS,
    PREDICTIONS,
    REPLAYS,
    TIME,
    events,
    exports,
    gathered,
    letters,
    predictions,
    prove_settings,
    write_snapshot,
)

DAY_MS = 86_400_000


class Broker:
    """What the brokers tell; a test changes it.

    Attributes:
        lags: How far the group has come.
        extents: What each topic holds, at each time that it is asked for; the last stays.
        configs: The settings of topics.
        from_time: By topic, what `offsets_from` gives.
        asked: What was asked, in order.
    """

    def __init__(self) -> None:
        self.lags = [PartitionLag(0, 0, 10, Mark(7)), PartitionLag(1, 0, 5, Mark(5))]
        self.extents: dict[str, list[dict[int, Extent]]] = {
            PREDICTIONS: [{0: Extent(0, 8), 1: Extent(0, 5)}],
            LETTERS: [{0: Extent(0, 2), 1: Extent(0, 0)}],
        }
        self.configs: dict[str, dict[str, str]] = {}
        self.from_time: dict[str, dict[int, int | None]] = {}
        self.asked: list[str] = []
        self.times: list[int] = []

    def group(self, _: object, __: str, topic: str) -> "Broker":
        self.asked.append(f"group of {topic}")
        return self

    def partitions(self) -> Sequence[PartitionLag]:
        return self.lags

    def close(self, _: object) -> None:
        self.asked.append("closed")

    def settled(self, _: object, topic: str) -> dict[int, Extent]:
        self.asked.append(topic)
        held = self.extents[topic]
        return held.pop(0) if len(held) > 1 else held[0]

    def written(self, _: object, topic: str) -> dict[int, Extent]:
        self.asked.append(f"end of {topic}")
        return {one.partition: Extent(one.begin, one.end + 1) for one in self.lags}

    def described(self, _: object, topics: Sequence[str], __: object) -> Mapping[str, TopicInfo | None]:
        known = {EVENTS, *self.extents}
        return {
            name: TopicInfo(name, 2, self.configs.get(name, {})) if name in known else None for name in topics
        }

    def offsets_from(self, _: object, topic: str, timestamp: int) -> dict[int, int | None]:
        self.times.append(timestamp)
        return self.from_time[topic]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr("batch.proof.fixing.GroupLag", made.group)
    monkeypatch.setattr("batch.proof.fixing.settled_extents", made.settled)
    monkeypatch.setattr("batch.proof.fixing.extents", made.written)
    monkeypatch.setattr("batch.proof.fixing.describe_topics", made.described)
    monkeypatch.setattr("batch.proof.fixing.offsets_from", made.offsets_from)
    return made


def ranges(plan: Plan) -> list[tuple[int, int, int, int]]:
    """Partition, start, end and pending."""
    return [(one.partition, one.start, one.end, one.pending) for one in plan.events]


def test_what_the_group_has_committed_is_proved_and_the_rest_is_pending(broker: Broker) -> None:
    broker.lags.append(PartitionLag(2, 4, 9, Mark(2)))
    plan = fix(prove_settings())
    assert ranges(plan) == [(0, 0, 7, 3), (1, 0, 5, 0), (2, 4, 4, 5)]
    assert plan.pending == 8
    assert plan.answers == {
        Role.PREDICTIONS: [
            AnswerRange(partition=0, start=0, end=8),
            AnswerRange(partition=1, start=0, end=5),
        ],
        Role.DEAD_LETTERS: [
            AnswerRange(partition=0, start=0, end=2),
            AnswerRange(partition=1, start=0, end=0),
        ],
    }
    assert plan.topics == {
        Role.EVENTS: EVENTS,
        Role.PREDICTIONS: PREDICTIONS,
        Role.DEAD_LETTERS: LETTERS,
    }
    assert plan.notes == []
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_group_is_asked_before_the_topics_of_answers_and_these_before_what_was_written(
    broker: Broker,
) -> None:
    """Else an event could be committed, or an answer be there, whose other side came after its end."""
    plan = fix(prove_settings())
    assert broker.asked == [f"group of {EVENTS}", "closed", PREDICTIONS, LETTERS, f"end of {EVENTS}"]
    assert [one.unwritten for one in plan.events] == [11, 6]


def test_a_topic_that_was_made_anew_is_covered_to_its_end(broker: Broker) -> None:
    """The group's offset is of the topic before."""
    broker.lags = [PartitionLag(0, 0, 4, Mark(900))]
    assert ranges(fix(prove_settings())) == [(0, 0, 4, 0)]


def test_a_group_that_has_committed_nothing_is_refused(broker: Broker) -> None:
    broker.lags = [PartitionLag(0, 0, 10, None), PartitionLag(1, 0, 0, Mark(0))]
    with pytest.raises(ConfigurationError, match="group 'tandem' has committed nothing") as refused:
        fix(prove_settings())
    assert "--group" in str(refused.value)


def test_a_partition_of_which_nothing_is_committed_is_pending_with_a_note(broker: Broker) -> None:
    broker.lags = [PartitionLag(0, 0, 10, None), PartitionLag(1, 0, 5, Mark(5))]
    plan = fix(prove_settings())
    assert ranges(plan) == [(0, 0, 0, 10), (1, 0, 5, 0)]
    assert plan.notes == [
        "Group 'tandem' has committed nothing of partition 0: all events there are pending."
    ]


def test_an_input_topic_without_events_has_nothing_to_prove(broker: Broker) -> None:
    broker.lags = [PartitionLag(0, 0, 0, None)]
    assert ranges(fix(prove_settings())) == [(0, 0, 0, 0)]


def test_a_replay_meanwhile_has_the_ends_fixed_again(broker: Broker) -> None:
    log = [{0: Extent(0, end)} for end in (1, 2, 2)]
    broker.extents[REPLAYS] = log
    broker.extents[PREDICTIONS] = [{0: Extent(0, 8)}, {0: Extent(0, 9)}]
    plan = fix(prove_settings())
    assert [one.end for one in plan.answers[Role.PREDICTIONS]] == [9]
    assert [one.end for one in plan.answers[Role.REPLAYS]] == [2]
    assert broker.asked[2:-1] == [REPLAYS, PREDICTIONS, LETTERS, REPLAYS] * 2
    assert plan.topics[Role.REPLAYS] == REPLAYS


def test_a_replay_that_does_not_end_is_a_sentence(broker: Broker) -> None:
    broker.extents[REPLAYS] = [{0: Extent(0, end)} for end in range(10_000)]
    with pytest.raises(StalledError, match="Dead letters are being replayed"):
        fix(prove_settings(None, "--broker-timeout", "0.01"))


def test_since_begins_at_that_time_and_reads_answers_from_an_hour_before(broker: Broker) -> None:
    """A time later than all events covers none; where the hour is cut short, retention has to be minded."""
    broker.from_time = {
        EVENTS: {0: 3, 1: None},
        PREDICTIONS: {0: 2, 1: None},
        LETTERS: {0: 5, 1: 0},
    }
    broker.extents[PREDICTIONS] = [{0: Extent(1, 8), 1: Extent(1, 5)}]
    broker.extents[LETTERS] = [{0: Extent(5, 9), 1: Extent(0, 0)}]
    plan = fix(prove_settings(None, "--since", "2026-01-31T12:00:00Z"))
    assert ranges(plan) == [(0, 3, 7, 3), (1, 5, 5, 0)]
    predicted, letters = plan.answers[Role.PREDICTIONS], plan.answers[Role.DEAD_LETTERS]
    assert [(one.start, one.cut) for one in predicted] == [(2, False), (5, False)]
    assert [(one.start, one.cut) for one in letters] == [(5, True), (0, False)]
    at = 1_769_860_800_000
    assert broker.times == [at, at - MARGIN_MS, at - MARGIN_MS]
    assert plan.notes == [
        "Only events from 2026-01-31T12:00:00.000Z on are proved: --since 2026-01-31T12:00:00Z."
    ]


@pytest.mark.parametrize("exported", [False, True])
def test_a_since_that_is_no_time_is_refused(tmp_path: Path, broker: Broker, exported: bool) -> None:
    assert broker.lags
    fixing, since = plan_of_exports if exported else fix, ("--since", "yesterday")
    settings = exports(tmp_path, *since, events=[events(3)]) if exported else prove_settings(None, *since)
    with pytest.raises(ConfigurationError, match="--since: 'yesterday' is not a time such as"):
        fixing(settings)


@pytest.mark.parametrize("since", ["99999999999d", "1969-12-31T23:59:59.999Z"])
def test_a_since_that_reaches_before_1970_is_refused(since: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--since: '{since}' .*reaches before 1970"):
        since_of(prove_settings(None, "--since", since))


def test_compacted_topics_are_told(broker: Broker) -> None:
    """The log of replays is compacted by design."""
    broker.extents[REPLAYS] = [{0: Extent(0, 2)}]
    broker.configs = {topic: {"cleanup.policy": "compact,delete"} for topic in (PREDICTIONS, REPLAYS)}
    assert fix(prove_settings()).notes == [
        "Topic 'predictions' is compacted: older records of a key may be gone from it."
    ]


def test_a_topic_that_is_two_things_is_refused(broker: Broker) -> None:
    with pytest.raises(ConfigurationError, match="topic 'predictions' is named both for"):
        fix(prove_settings(None, "--dead-letter-topic", PREDICTIONS))
    assert not broker.asked


@pytest.mark.parametrize(
    ("configs", "known"),
    [
        ({"retention.ms": str(DAY_MS), "retention.bytes": "-1"}, True),
        ({"retention.ms": str(DAY_MS), "retention.bytes": "1000"}, False),
        ({"retention.ms": "-1", "retention.bytes": "-1"}, False),
        ({}, False),
    ],
)
def test_retention_by_time_alone_tells_what_is_still_there(
    broker: Broker, configs: dict[str, str], known: bool
) -> None:
    broker.configs = {LETTERS: configs}
    before = time.time_ns() // 1_000_000
    [first, *_] = fix(prove_settings()).answers[Role.DEAD_LETTERS]
    assert (first.kept_since is not None) is known
    if first.kept_since is not None:
        # The consumer's clock may be an hour behind.
        kept = DAY_MS - 3_600_000
        assert before - kept <= first.kept_since <= time.time_ns() // 1_000_000 - kept


@pytest.mark.parametrize(
    ("role", "kept_since", "left", "start", "doubtful"),
    [
        # No letter is left, since none was written for long.
        (Role.DEAD_LETTERS, TIME + 12, [], 12, "from offset 12 up to 20"),
        # The first that is left is of a later event than the last that lost its letter may be of.
        (Role.DEAD_LETTERS, TIME + 12, [15], 12, "from offset 12 up to 15"),
        (Role.DEAD_LETTERS, TIME + 12, [9], 9, None),
        (Role.DEAD_LETTERS, None, [15], 15, None),
        # No event is old enough: somebody has deleted records that retention would have kept.
        (Role.DEAD_LETTERS, TIME - 5, [15], 15, None),
        (Role.DEAD_LETTERS, TIME - 5, [], 20, None),
        # Each event has its prediction: those before the first that is left are gone.
        (Role.PREDICTIONS, TIME + 2, [*range(6, 20)], 6, None),
        (Role.PREDICTIONS, TIME + 2, [], 2, None),
    ],
)
def test_events_younger_than_all_that_retention_took_are_proved(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    role: Role,
    kept_since: int | None,
    left: list[int],
    start: int,
    doubtful: str | None,
) -> None:
    kept = {
        "predictions": [predictions(left if role is Role.PREDICTIONS else range(20))],
        "letters": [letters(left if role is Role.DEAD_LETTERS else [])],
    }
    settings = exports(tmp_path, events=[events(20)], **kept)
    cut = AnswerRange(partition=0, start=5, end=5, cut=True, kept_since=kept_since)

    def planned(_: object) -> Plan:
        plan = plan_of_exports(settings)
        return plan.model_copy(update={"answers": {**plan.answers, role: [cut]}})

    monkeypatch.setattr("batch.proof.gather.plan_of_exports", planned)
    evidence = gathered(settings)
    assert ranges(evidence.plan) == [(0, start, 20, 0)]
    assert f"from offset {start} on" in evidence.notes[0]
    told = [note for note in evidence.notes if "retention may have deleted their dead letters" in note]
    assert [str(doubtful) in note for note in told] == ([] if doubtful is None else [True])


def test_a_plan_of_snapshots_covers_what_they_hold(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "events", EVENTS, [events(8, start=4)], {0: (4, 20), 1: (0, 0)})
    write_snapshot(tmp_path / "predictions", PREDICTIONS, [], {0: (6, 9)})
    plan = plan_of_exports(exports(tmp_path))
    assert ranges(plan) == [(0, 4, 20, 0), (1, 0, 0, 0)]
    assert plan.answers[Role.PREDICTIONS] == [AnswerRange(partition=0, start=6, end=9, cut=True)]
    assert (plan.topics[Role.EVENTS], Role.REPLAYS in plan.topics, plan.notes) == (EVENTS, False, [])


@pytest.mark.parametrize(("since", "start"), [(TIME + 3, 3), (TIME, 0), (TIME + 90, 10)])
def test_since_of_snapshots_begins_at_the_first_event_of_that_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: int, start: int
) -> None:
    monkeypatch.setattr("batch.proof.plan.moment", lambda *_: since)
    plan = plan_of_exports(exports(tmp_path, "--since", "1h", events=[events(10)]))
    assert [one for one in plan.events if one.partition == 0] == [
        EventRange(partition=0, start=start, end=10)
    ]


def test_two_snapshots_of_one_topic_are_refused(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "predictions", EVENTS, [events(3)])
    settings = exports(tmp_path, events=[events(3)])
    with pytest.raises(InputError, match="topic 'customers' is named both for") as refused:
        plan_of_exports(settings)
    assert "--predictions" in str(refused.value)


def test_predictions_of_batch_score_are_no_snapshot(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("customer_id,feature\n1,0.5\n")
    scored = ["score", str(rows), "--model", "models/threshold", "--output", str(tmp_path / "predictions")]
    assert main(scored) == ExitCode.DONE
    with pytest.raises(InputError, match="not a snapshot of a topic") as refused:
        plan_of_exports(exports(tmp_path, events=[events(3)]))
    assert "--predictions" in str(refused.value)


def test_dead_letters_without_headers_tell_nothing(tmp_path: Path) -> None:
    """As snapshots of earlier versions have them; an empty one does no harm."""
    for name, held in (("empty", []), ("full", [3])):
        folder = tmp_path / name
        settings = exports(folder, events=[events(6)], letters=[letters(held)] if held else [])
        path = folder / "dead-letters" / MANIFEST_FILE
        said = json.loads(path.read_bytes())
        said["columns"] = [column for column in said["columns"] if column["name"] != "headers"]
        path.write_text(json.dumps(said))
        if held:
            with pytest.raises(InputError, match="holds no headers"):
                plan_of_exports(settings)
        else:
            assert ranges(plan_of_exports(settings)) == [(0, 0, 6, 0)]


def test_an_answer_for_an_offset_that_no_event_had_yet_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events 6 to 8 were pending; 9 was not written when the answers were fixed."""
    settings = exports(tmp_path, events=[events(6)], predictions=[predictions([*range(8), 9, 12])])
    own = EventRange(partition=0, start=0, end=6, pending=3, unwritten=9)
    planned = plan_of_exports(settings).model_copy(update={"events": [own]})
    monkeypatch.setattr("batch.proof.gather.plan_of_exports", lambda _: planned)
    evidence = gathered(settings)
    assert (evidence.outside(0), evidence.beyond(0)) == (4, 2)
