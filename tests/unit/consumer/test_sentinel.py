"""--sentinel: a share of what is committed is scored again, counted and told; none of it harms the loop."""

import logging
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from consumer import sentinel as module
from consumer.budget import Budget
from consumer.loop import Limits, Loop
from consumer.models.shadow import Shadowed
from consumer.operations.measures import FAMILIES
from consumer.operations.telemetry import Telemetry
from consumer.scoring import Serving, StreamScorer
from consumer.second_opinion import Answered, Disagreement, Kind, SecondOpinion
from consumer.sentinel import Sentinel, scoring_again
from consumer.settings import ConsumerSettings
from consumer.transaction import ExactlyOnceOutput
from shared.errors import ConfigurationError
from shared.kafka.columns import RecordColumns
from shared.kafka.errors import TransactionAbortedError
from shared.metrics import exposition
from shared.models.directory import KINDS, read_model
from shared.predict import Predictor
from shared.settings import load
from shared.stop import Stop
from tests.support.memory import MemoryKafka, Told, lesson_columns
from tests.support.models import threshold_model
from tests.support.unstable import BySize, ByThread, FailingOnThreads

LOW, HIGH, BAD = b'{"customer_id":1,"feature":0.2}', b'{"customer_id":2,"feature":0.8}', b"no event"


def scorer(kafka: MemoryKafka, predictor: Predictor) -> StreamScorer:
    return StreamScorer(predictor, "predictions", "dead-letters", kafka, keep_given=True)


def sentinel(telemetry: Telemetry, share: float = 1.0) -> Sentinel:
    return Sentinel(telemetry, share, "predictions", "dead-letters")


def events(*values: bytes, offset: int = 0) -> list[RecordColumns]:
    """A poll of two partitions."""
    return [lesson_columns(0, offset, *values), lesson_columns(1, offset, HIGH)]


def run(kafka: MemoryKafka, predictor: Predictor, telemetry: Telemetry, share: float = 1.0) -> None:
    """Runs a loop over an in-memory Kafka until its polls are used up, and the sentinel to its end."""
    stop = Stop(1)
    kafka.on_exhausted = stop.request
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    with sentinel(telemetry, share) as told:
        made = scorer(kafka, predictor)
        Loop(kafka, made, output, Budget(1_000, 1), stop, Told(), told, Limits()).run()


def metrics(telemetry: Telemetry) -> dict[str, float]:
    """The sentinel's series and their values, without those of its disagreements and failures that are 0."""
    page = exposition(FAMILIES, telemetry.snapshot()["metrics"])[0].decode()
    found = re.findall(r"^tandem_sentinel_(\S+?)_total(\{\S+\})? (\S+)$", page, re.MULTILINE)
    return {
        name + labels: float(value) for name, labels, value in found if name != "cpu_seconds" and float(value)
    }


@pytest.fixture
def lesson() -> Predictor:
    return Predictor.load("models/threshold")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Predictor]:
    """Predictors whose scores depend on the size of a batch, and on the thread."""
    found = {}
    for kind in (BySize, ByThread, FailingOnThreads):
        monkeypatch.setitem(KINDS, kind.kind, kind)
        found[kind.kind] = Predictor(read_model(threshold_model(tmp_path / kind.kind, kind=kind.kind)))
    return found


def test_an_honest_stream_is_scored_again_and_nothing_disagrees(
    lesson: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry, kafka = Telemetry(), MemoryKafka([events(LOW, BAD, HIGH), events(LOW, offset=3)])
    with caplog.at_level(logging.INFO):
        run(kafka, lesson, telemetry)
    assert kafka.committed == {0: 4, 1: 4}
    assert metrics(telemetry) == {"events": 6}
    assert "The sentinel scored 6 events again: 0 disagree; 0 that were drawn were left out" in caplog.text
    assert "ERROR" not in caplog.text


def test_its_series_begin_at_zero_and_are_absent_without_it() -> None:
    def page(telemetry: Telemetry) -> str:
        return exposition(FAMILIES, telemetry.snapshot()["metrics"])[0].decode()

    telemetry = Telemetry()
    assert not re.search("^tandem_sentinel", page(telemetry), re.MULTILINE)
    sentinel(telemetry)
    for kind in Kind:
        assert f'tandem_sentinel_disagreements_total{{kind="{kind.value}"}} 0.0' in page(telemetry)
    assert "tandem_sentinel_events_total 0.0" in page(telemetry)
    assert 'tandem_sentinel_left_out_total{reason="busy"} 0.0' in page(telemetry)
    assert "tandem_sentinel_cpu_seconds_total 0.0" in page(telemetry)


def test_its_own_time_is_counted(lesson: Predictor) -> None:
    telemetry = Telemetry()
    run(MemoryKafka([events(LOW)]), lesson, telemetry)
    page = exposition(FAMILIES, telemetry.snapshot()["metrics"])[0].decode()
    [spent] = re.findall(r"^tandem_sentinel_cpu_seconds_total (\S+)$", page, re.MULTILINE)
    assert float(spent) > 0


def test_a_bit_that_depends_on_the_size_of_a_batch_is_found(
    planted: dict[str, Predictor], caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = Telemetry()
    run(MemoryKafka([[lesson_columns(0, 0, *[LOW] * 60)]]), planted["by-size"], telemetry, share=0.3)
    found = metrics(telemetry)
    assert 0 < found["events"] < 50
    assert found == {"events": found["events"], 'disagreements{kind="bits"}': found["events"]}
    [line] = [record for record in caplog.records if record.levelno == logging.ERROR][:1]
    told = line.getMessage()
    assert re.search(r"disagree on the event at customers/0/\d+ \(bits\)", told)
    assert "the stream says 0x1.999999999999bp-3 (false), the batch path 0x1.999999999999ap-3 (false)" in told
    assert planted["by-size"].model.short_sha256 in told
    assert "python -m batch prove" in told


@pytest.mark.parametrize(("kind", "disagreement"), [("by-thread", "decision"), ("failing", "rejection")])
def test_what_a_thread_of_its_own_gets_from_the_model_is_compared(
    planted: dict[str, Predictor], kind: str, disagreement: str
) -> None:
    telemetry, kafka = Telemetry(), MemoryKafka([events(LOW, BAD)])
    run(kafka, planted[kind], telemetry)
    assert metrics(telemetry) == {"events": 3, f'disagreements{{kind="{disagreement}"}}': 2}
    assert kafka.committed == {0: 2, 1: 1}


def drawn_of(pieces: Sequence[RecordColumns], predictor: Predictor) -> list[int]:
    """The offsets that a new sentinel scores again of what comes in so many batches."""
    offsets: list[int] = []
    judge = SecondOpinion.disagreements

    def noting(self: SecondOpinion, several: Sequence[Answered]) -> list[Disagreement]:
        offsets.extend(offset for one in several for offset in one.events.offsets)
        return judge(self, several)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SecondOpinion, "disagreements", noting)
        with sentinel(Telemetry(), 0.1) as told:
            for piece in pieces:
                told.committed(scorer(MemoryKafka([]), predictor).score([piece], 5), 1.0)
    return offsets


def test_the_same_events_are_drawn_after_a_restart_and_of_any_batches(lesson: Predictor) -> None:
    whole = lesson_columns(0, 500, *[LOW] * 1_000)
    offsets = drawn_of([whole], lesson)
    assert 60 < len(offsets) < 140
    later = whole.tail(3)
    pieces = [whole.head(3), later.head(400), later.tail(400).head(1), later.tail(401)]
    assert drawn_of(pieces, lesson) == offsets


def test_an_event_is_drawn_by_its_offset_where_there_are_gaps(lesson: Predictor) -> None:
    whole = lesson_columns(0, 500, *[LOW] * 1_000)
    rows = [0, *range(200, 1_000)]
    offsets = [whole.offsets[row] for row in rows]
    some = RecordColumns("customers", 0, offsets, [1] * 801, [b"k"] * 801, [LOW] * 801, {}, 1_500)
    assert drawn_of([some], lesson) == [offset for offset in drawn_of([whole], lesson) if offset in offsets]


def test_another_partition_has_other_events_drawn(lesson: Predictor) -> None:
    one, other = (drawn_of([lesson_columns(number, 0, *[LOW] * 500)], lesson) for number in (0, 1))
    assert one != other


def test_a_batch_that_is_undone_is_scored_again_once(lesson: Predictor) -> None:
    telemetry = Telemetry()
    kafka = MemoryKafka(
        [events(LOW), events(LOW)],
        failures={"commit_transaction": [TransactionAbortedError("fenced for a while")]},
    )
    run(kafka, lesson, telemetry)
    assert metrics(telemetry) == {"events": 2}


def test_after_a_swap_each_batch_is_judged_by_the_model_that_scored_it(tmp_path: Path) -> None:
    """0.8 is above one threshold and below the other."""
    telemetry = Telemetry()
    first, second = (
        Predictor.load(threshold_model(tmp_path / str(threshold), threshold=threshold))
        for threshold in (0.6, 0.9)
    )
    with sentinel(telemetry) as told:
        for predictor in (first, second, second, first):
            told.committed(scorer(MemoryKafka([]), predictor).score(events(LOW), 5), 1.0)
    assert metrics(telemetry) == {"events": 8}


def test_beside_a_shadow_the_champion_alone_is_judged(tmp_path: Path, lesson: Predictor) -> None:
    telemetry, kafka = Telemetry(), MemoryKafka([])
    challenger = Serving(Predictor.load(threshold_model(tmp_path / "challenger", threshold=0.1)))
    shadowed = Shadowed(scorer(kafka, lesson), challenger, "shadow", kafka, 5, telemetry)
    batch = shadowed.score(events(LOW, BAD), 5)
    assert any(records.topic == "shadow" for records in batch[0].records)
    with sentinel(telemetry) as told:
        told.committed(batch, 1.0)
    assert metrics(telemetry) == {"events": 3}


def test_a_failure_of_its_own_is_counted_and_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, lesson: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no room for columns")

    telemetry, kafka = Telemetry(), MemoryKafka([events(LOW), events(LOW, offset=1)])
    with monkeypatch.context() as patched:
        patched.setattr("consumer.second_opinion.score_by_columns", broken)
        run(kafka, lesson, telemetry)
    assert kafka.committed == {0: 2, 1: 2}
    assert metrics(telemetry) == {'left_out{reason="failed"}': 4}
    assert "MemoryError: no room for columns" in caplog.text
    with monkeypatch.context() as patched:
        patched.setattr(Answered, "of", broken)
        run(MemoryKafka([events(LOW)]), lesson, telemetry)
    assert metrics(telemetry) == {'left_out{reason="failed"}': 6}


class Panic(BaseException):
    """What a panic in a library's Rust becomes: no Exception."""


def test_a_letter_that_was_published_under_another_key_is_counted_as_published_otherwise(
    lesson: Predictor,
) -> None:
    telemetry = Telemetry()
    [scored] = scorer(MemoryKafka([]), lesson).score([lesson_columns(0, 0, LOW, BAD)], 5)
    predictions, letters = scored.records
    batch = [replace(scored, records=(predictions, replace(letters, keys=[b"another"])))]
    with sentinel(telemetry) as told:
        told.committed(batch, 1.0)
    assert metrics(telemetry) == {"events": 2, 'disagreements{kind="published"}': 1}


def test_after_a_panic_in_a_library_its_thread_goes_on(
    monkeypatch: pytest.MonkeyPatch, lesson: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    judge, panics = SecondOpinion.disagreements, [Panic("index out of bounds")]

    def panicking(self: SecondOpinion, several: Sequence[Answered]) -> list[Disagreement]:
        if panics:
            raise panics.pop()
        return judge(self, several)

    monkeypatch.setattr(SecondOpinion, "disagreements", panicking)
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    telemetry, kafka = Telemetry(), MemoryKafka([events(LOW), events(LOW, offset=1)])
    run(kafka, lesson, telemetry)
    assert kafka.committed == {0: 2, 1: 2}
    assert metrics(telemetry) == {"events": 3, 'left_out{reason="failed"}': 1}
    assert "Panic: index out of bounds" in caplog.text


def test_when_its_thread_ends_all_the_same_that_is_told_once_and_all_drawn_counts_as_failed(
    monkeypatch: pytest.MonkeyPatch, lesson: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    def dying() -> float:
        raise Panic("no clock")

    monkeypatch.setattr(module, "_REST_SECONDS", 0.001)
    batch, telemetry = scorer(MemoryKafka([]), lesson).score(events(LOW), 5), Telemetry()
    watch = Sentinel(telemetry, 1, "predictions", "dead-letters", dying)
    watch.committed(batch, 1.0)
    with watch:
        watch._thread.join(30)
        assert not watch._thread.is_alive()
        watch.committed(batch, 1.0)
        watch.committed(batch, 1.0)
        assert metrics(telemetry) == {'left_out{reason="failed"}': 6}
    told = [message for message in caplog.messages if "thread has ended (Panic: no clock)" in message]
    assert len(told) == 1
    assert metrics(telemetry) == {'left_out{reason="failed"}': 6}


def test_a_thread_that_ends_after_the_last_batch_is_told_of_in_the_end(
    monkeypatch: pytest.MonkeyPatch, lesson: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    def dying(_: Sentinel) -> None:
        raise Panic("out of memory")

    telemetry = Telemetry()
    monkeypatch.setattr(Sentinel, "_next", dying)
    run(MemoryKafka([events(LOW)]), lesson, telemetry)
    assert metrics(telemetry) == {'left_out{reason="failed"}': 2}
    assert "thread has ended (Panic: out of memory)" in caplog.text


def test_what_it_has_no_room_for_is_left_out_and_counted(
    monkeypatch: pytest.MonkeyPatch, lesson: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    batch = scorer(MemoryKafka([]), lesson).score([lesson_columns(0, 0, *[LOW] * 100)], 5)
    # The keys of the first 30, k0 to k29, have 80 bytes.
    for most, value in (("_MOST_EVENTS", 30), ("_MOST_BYTES", 30 * len(LOW) + 80 + 3)):
        telemetry = Telemetry()
        with monkeypatch.context() as patched, sentinel(telemetry) as told:
            patched.setattr(module, most, value)
            told.committed(batch, 1.0)
            told.committed(batch, 1.0)
        assert metrics(telemetry) == {"events": 30, 'left_out{reason="busy"}': 170}
        assert "scored 30 events again: 0 disagree; 170 that were drawn were left out" in caplog.messages[-1]


class Ticking:
    """A clock that goes on by so many seconds whenever it is looked at."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def test_one_go_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch, lesson: Predictor) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 10)
    telemetry = Telemetry()
    slow = Sentinel(telemetry, 1, "predictions", "dead-letters", Ticking(0.03))
    slow.committed(scorer(MemoryKafka([]), lesson).score([lesson_columns(0, 0, *[LOW] * 100)], 5), 1.0)
    # What the thread does, without its rests.
    assert slow._work(0.05) == pytest.approx(0.06)
    assert metrics(telemetry) == {"events": 20}


def test_a_model_that_hangs_holds_up_neither_the_loop_nor_the_end(
    monkeypatch: pytest.MonkeyPatch, lesson: Predictor
) -> None:
    free, telemetry = threading.Event(), Telemetry()
    monkeypatch.setattr(module, "_END_SECONDS", 0.05)
    monkeypatch.setattr(SecondOpinion, "disagreements", lambda *_: [free.wait(30)][:0])
    kafka = MemoryKafka([events(LOW), events(LOW, offset=1)])
    run(kafka, lesson, telemetry)
    assert kafka.committed == {0: 2, 1: 2}
    assert "events" not in metrics(telemetry)
    free.set()


def test_disagreements_are_told_at_once_and_then_not_too_often(
    planted: dict[str, Predictor], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Ticking(0)
    watch = Sentinel(Telemetry(), 0.3, "predictions", "dead-letters", clock)
    batch = scorer(MemoryKafka([]), planted["by-size"]).score([lesson_columns(0, 0, *[LOW] * 60)], 5)
    for clock.now in (0.0, 5.0, 9.0, 11.0):
        watch.committed(batch, 1.0)
        watch._work(1)
    more = [re.findall(r"; (\d+) more disagree", message) for message in caplog.messages]
    [[first], [second]] = more
    assert int(second) + 1 == 3 * (int(first) + 1)


def test_what_the_loop_tells_is_passed_on(lesson: Predictor) -> None:
    heard: list[tuple[str, object]] = []

    class Listening(Telemetry):
        def assigned(self, partitions: Collection[int]) -> None:
            heard.append(("assigned", partitions))

        def positions(self, positions: Mapping[int, int]) -> None:
            heard.append(("positions", positions))

        def undone(self, events: int) -> None:
            heard.append(("undone", events))

        def committed(self, batch: Sequence[object], polled_at: float) -> None:
            heard.append(("committed", (len(batch), polled_at)))

    with sentinel(Listening()) as told:
        told.assigned({1})
        told.positions({1: 5})
        told.undone(3)
        told.committed(scorer(MemoryKafka([]), lesson).score(events(LOW), 5), 2.5)
        with told.step("poll", {}):
            pass
    assert heard == [("assigned", {1}), ("positions", {1: 5}), ("undone", 3), ("committed", (2, 2.5))]


def settings(*arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *arguments], "python -m consumer")


def test_the_option_turns_it_on(lesson: Predictor) -> None:
    telemetry = Telemetry()
    with scoring_again(settings(), telemetry) as heard:
        assert heard is telemetry
    with scoring_again(settings("--sentinel", "1"), telemetry) as heard:
        heard.committed(scorer(MemoryKafka([]), lesson).score(events(LOW), 5), 1.0)
    assert metrics(telemetry) == {"events": 2}


@pytest.mark.parametrize("share", ["0", "1.5", "-1", "much"])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(ConfigurationError, match="sentinel"):
        settings("--sentinel", share)
