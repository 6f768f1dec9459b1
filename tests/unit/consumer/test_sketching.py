"""What --sketch keeps: of committed events only, in a file for each start, model and day."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batch.drift_sides import load_side
from consumer.budget import Budget
from consumer.loop import Limits, Loop
from consumer.scoring import StreamScorer
from consumer.settings import ConsumerSettings
from consumer.sketching import Sketching, sketching
from consumer.transaction import ExactlyOnceOutput
from shared.errors import ConfigurationError
from shared.kafka.columns import RecordColumns
from shared.kafka.errors import TransactionAbortedError
from shared.predict import Predictor
from shared.settings import load
from shared.sketches.file import SketchFile
from shared.stop import Stop
from tests.support.memory import MemoryKafka, Told, lesson_columns
from tests.support.models import threshold_model

LOW, HIGH, BAD = (
    b'{"customer_id":1,"feature":0.2}',
    b'{"customer_id":2,"feature":0.8}',
    b"no event",
)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Times:
    """Both clocks, moved by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


def sketch_over(folder: Path, times: Times) -> Sketching:
    return Sketching(Told(), folder, "customers", "tandem", "host-0", times.clock, times.now)


def scorer(kafka: MemoryKafka, predictor: Predictor, *, keep_given: bool = True) -> StreamScorer:
    return StreamScorer(predictor, "predictions", "dead-letters", kafka, keep_given=keep_given)


def run(kafka: MemoryKafka, told: Sketching) -> None:
    """Runs a loop over an in-memory Kafka until its polls are used up."""
    stop = Stop(1)
    kafka.on_exhausted = stop.request
    made = scorer(kafka, Predictor.load("models/threshold"))
    output = ExactlyOnceOutput(kafka, kafka, 5, Told())
    Loop(kafka, made, output, Budget(1_000, 1), stop, Told(), told, Limits()).run()


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))


def events(*values: bytes, offset: int = 0) -> list[RecordColumns]:
    """A poll of two partitions."""
    return [lesson_columns(0, offset, *values), lesson_columns(1, offset, HIGH)]


def test_what_was_committed_is_in_the_file(tmp_path: Path) -> None:
    told = sketch_over(tmp_path, Times())
    run(MemoryKafka([events(LOW, BAD, HIGH), events(LOW, offset=3)]), told)
    told.write()
    [path] = files(tmp_path)
    assert path.name == "host-0-20260131T120000.000000Z.json"
    assert path.parent.name.startswith("threshold@1-")
    found = SketchFile.read(path)
    assert (found.topic, found.instance, found.model) == ("customers", "host-0", "threshold@1")
    sketches = load_side(str(path)).sketches
    assert (sketches.rows, sketches.score.count) == (5, 5)
    assert sketches.decision.counts == {"false": 2, "true": 3}
    assert sketches.features["feature"].to_json()["minimum"] == 0.2


def test_a_batch_that_is_undone_counts_once(tmp_path: Path) -> None:
    told = sketch_over(tmp_path, Times())
    kafka = MemoryKafka(
        [events(LOW), events(LOW)],
        failures={"commit_transaction": [TransactionAbortedError("fenced for a while")]},
    )
    run(kafka, told)
    told.write()
    assert load_side(str(tmp_path)).sketches.rows == 2


def test_it_is_written_about_every_minute_even_when_nothing_comes(tmp_path: Path) -> None:
    times = Times()
    told = sketch_over(tmp_path, times)
    run(MemoryKafka([events(LOW)]), told)
    times.seconds = 59
    told.positions({0: 1})
    assert files(tmp_path) == []
    times.seconds = 61
    told.positions({0: 1})
    [path] = files(tmp_path)
    before = path.stat().st_mtime_ns
    times.seconds = 200
    told.positions({0: 1})
    assert path.stat().st_mtime_ns == before


def test_a_new_day_and_a_new_start_have_a_file_each_and_all_are_merged(tmp_path: Path) -> None:
    times = Times()
    told = sketch_over(tmp_path, times)
    run(MemoryKafka([events(LOW)]), told)
    times.seconds = 86_400
    run(MemoryKafka([events(LOW, HIGH)]), told)
    told.write()
    times.seconds += 5
    restarted = sketch_over(tmp_path, times)
    run(MemoryKafka([events(HIGH, HIGH, HIGH)]), restarted)
    restarted.write()
    assert [load_side(str(path)).sketches.rows for path in files(tmp_path)] == [2, 3, 4]
    assert load_side(str(tmp_path)).sketches.rows == 9


def test_a_new_model_has_a_folder_of_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    told, kafka = sketch_over(kept, Times()), MemoryKafka([])
    for version, values in (("1", [LOW]), ("2", [LOW, HIGH])):
        predictor = Predictor.load(threshold_model(tmp_path / version, version=version))
        told.committed(scorer(kafka, predictor).score(events(*values), 5), 1.0)
    told.write()
    models = [(SketchFile.read(path).model, load_side(str(path)).sketches.rows) for path in files(kept)]
    assert models == [("threshold@1", 2), ("threshold@2", 3)]
    assert len({path.parent for path in files(kept)}) == 2


def test_a_disk_that_is_full_harms_no_prediction_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    told, kafka = sketch_over(tmp_path, Times()), MemoryKafka([events(LOW)])
    run(kafka, told)
    with monkeypatch.context() as patched:
        patched.setattr("consumer.sketching._replace", full)
        told.write()
    assert "The sketches are not written" in caplog.text
    assert "No space left on device" in caplog.text
    assert kafka.visible
    told.write()
    assert load_side(str(tmp_path)).sketches.rows == 2


def test_what_could_not_be_written_waits_also_when_a_day_or_a_model_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, times = tmp_path / "kept", Times()
    kept.mkdir()
    told, kafka = sketch_over(kept, times), MemoryKafka([])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("consumer.sketching._replace", full)
        for version, values in (("1", [LOW]), ("2", [LOW, HIGH]), ("2", [LOW, LOW, HIGH])):
            predictor = Predictor.load(threshold_model(tmp_path / version, version=version))
            told.committed(scorer(kafka, predictor).score(events(*values), 5), 1.0)
            times.seconds += 86_400
    assert files(kept) == []
    told.positions({})
    found = [SketchFile.read(path) for path in files(kept)]
    assert [load_side(str(path)).sketches.rows for path in files(kept)] == [2, 3, 4]
    assert [(file.model, file.until[:10]) for file in found] == [
        ("threshold@1", "2026-02-01"),
        ("threshold@2", "2026-02-02"),
        ("threshold@2", "2026-02-03"),
    ]


def test_a_disk_that_stays_full_does_not_fill_the_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, times = tmp_path / "kept", Times()
    told, kafka = sketch_over(kept, times), MemoryKafka([])
    predictor = Predictor.load("models/threshold")
    for _ in range(10):
        told.committed(scorer(kafka, predictor).score(events(LOW), 5), 1.0)
        times.seconds += 86_400
    assert "Sketches of 2 rows of threshold@1 are lost" in caplog.text
    kept.mkdir()
    told.write()
    assert len(files(kept)) == 9


def settings(*arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *arguments], "python -m consumer")


def test_with_the_option_the_end_is_written_and_without_it_nothing_is_kept(tmp_path: Path) -> None:
    told = Told()
    with sketching(settings(), "host-0", told) as heard:
        assert heard is told
    predictor, kafka = Predictor.load("models/threshold"), MemoryKafka([])
    [plain, *_] = scorer(kafka, predictor, keep_given=False).score(events(LOW), 5)
    assert plain.given is None
    folder = tmp_path / "made" / "kept"
    with sketching(settings("--sketch", str(folder)), "host-0", told) as heard:
        heard.committed(scorer(kafka, predictor).score(events(LOW), 5), 1.0)
        assert told.committed_events == [2]
        assert files(folder) == []
    assert load_side(str(folder)).sketches.rows == 2


def test_what_the_loop_tells_is_passed_on(tmp_path: Path) -> None:
    heard: list[tuple[str, object]] = []

    class Listening(Told):
        def assigned(self, partitions: object) -> None:
            heard.append(("assigned", partitions))

        def positions(self, positions: Mapping[int, int]) -> None:
            heard.append(("positions", positions))

        def undone(self, events: int) -> None:
            heard.append(("undone", events))

        def committed(self, batch: Sequence[object], polled_at: float) -> None:
            heard.append(("committed", (len(batch), polled_at)))

    times, told = Times(), Listening()
    sketched = Sketching(told, tmp_path, "customers", "tandem", "host-0", times.clock, times.now)
    with sketched.step("poll", {}):
        sketched.assigned({0})
    sketched.positions({0: 1})
    sketched.undone(3)
    sketched.committed([], 2.0)
    assert told.steps == ["poll"]
    assert heard == [("assigned", {0}), ("positions", {0: 1}), ("undone", 3), ("committed", (0, 2.0))]


def test_a_folder_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigurationError, match=r"--sketch: .* cannot be made"),
        sketching(settings("--sketch", str(tmp_path / "file")), "host-0", Told()),
    ):
        pass
