"""The latest events that a worker shows: which they are, what is said of them, and what is never said."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumer.latest.events import LatestEvents, LatestLetter
from consumer.latest.picked import Letter, Place
from consumer.latest.showing import Showing, showing
from consumer.operations.telemetry import Telemetry
from consumer.scoring import Scored, StreamScorer
from consumer.settings import ConsumerSettings
from shared.deadline import Deadline
from shared.frame import Frame
from shared.kafka.columns import RecordColumns
from shared.models.base import Contributions, Floats, Scorer
from shared.predict import Predictor
from shared.schema import Input, Reason, Rejection, Schema
from shared.settings import load
from tests.support.memory import MemoryKafka, Told, lesson_columns
from tests.support.models import linear_model

STAMP = 1_700_000_000_000


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, the thread has ended at the end of a block."""
    monkeypatch.setattr("consumer.latest.showing._PATIENCE", 30.0)


class Clock:
    """A monotonic clock that stands until it is moved."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Mute(Scorer):
    """Scores everything 0.25 and cannot say why."""

    kind = "mute"
    needs_artifact = False

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> "Mute":
        raise NotImplementedError

    def raw(self, frame: Frame) -> Floats:
        return np.full(frame.count, 0.25)


class Broken(Mute):
    """Raises when it is asked why."""

    def explain(self, frame: Frame) -> Contributions:
        raise MemoryError(f"{frame.count} rows")


def of_kind(kind: type[Scorer], *inputs: Input) -> Predictor:
    """A predictor of another kind of scorer, with inputs of its own."""
    model = Predictor.load("models/threshold").model
    schema = Schema(inputs=inputs) if inputs else model.schema
    return Predictor(replace(model, schema=schema, scorer=kind()))


def event(customer: int | str, feature: float = 0.1, **others: Any) -> bytes:
    return json.dumps({"customer_id": customer, "feature": feature} | others).encode()


class Worker:
    """A scorer and what shows its events, on a clock of the test's."""

    def __init__(self, predictor: Predictor | None = None, *, masked: bool = False) -> None:
        self.clock, self.told = Clock(), Told()
        self.scorer = StreamScorer(
            predictor or Predictor.load("models/threshold"), "p", "d", MemoryKafka([]), keep_given=True
        )
        self.showing = Showing(self.told, masked=masked, clock=self.clock)

    def commit(self, *batch: RecordColumns) -> None:
        self.showing.committed(self.scorer.score(batch, now=1), polled_at=1.0)

    def answer(self, *values: bytes | None, offset: int = 0) -> LatestEvents:
        """Commits events of partition 0 and looks."""
        self.commit(lesson_columns(0, offset, *values))
        return self.look()

    def look(self) -> LatestEvents:
        """What is shown when all is formed."""
        self.showing.form()
        return self.showing.latest()


def offsets(latest: LatestEvents) -> list[str]:
    return [prediction["position"].removeprefix("customers/") for prediction in latest["predictions"]]


def test_a_prediction_is_shown_with_where_and_when_and_the_inputs_that_mattered_most(tmp_path: Path) -> None:
    predictor = Predictor.load(linear_model(tmp_path / "model"))
    value = {"customer_id": "b", "tenure": 1200, "partner": False, "contract": "é", "event_id": "e-1"}
    worker = Worker(predictor)
    before = time.time_ns() // 1_000_000
    worker.commit(RecordColumns("customers", 3, [70], [STAMP], [b"b"], [json.dumps(value).encode()], {}, 71))
    [shown] = worker.look()["predictions"]
    assert shown["committed"] >= before
    outcome = predictor.score_one(value)
    assert shown == {
        "position": "customers/3/70",
        "customer": "b",
        "event": "e-1",
        "score": outcome.scores[0],
        "decision": False,
        "model": "linear@2",
        "stamped": STAMP,
        "committed": shown["committed"],
        # The weight times the value, the largest first; a default counts as what the model was given.
        "inputs": [
            {"input": "tenure", "value": "1200", "contribution": -0.0373 * 1200},
            {"input": "charges", "value": "20.5", "contribution": 0.0217 * 20.5},
            {"input": "contract", "value": "é", "contribution": 0.1},
        ],
    }


def test_each_prediction_has_its_own_inputs_also_where_rows_beside_it_are_rejected(tmp_path: Path) -> None:
    worker = Worker(Predictor.load(linear_model(tmp_path / "model")))
    row = {"partner": True, "contract": "monthly", "charges": 1}
    values = [json.dumps(row | {"customer_id": n, "tenure": n}).encode() for n in range(40)]
    latest = worker.answer(b"junk", *values[:20], b"junk", *values[20:], None)
    assert [shown["customer"] for shown in latest["predictions"]] == [str(39 - n) for n in range(8)]
    for shown in latest["predictions"]:
        assert {"input": "tenure", "value": shown["customer"]}.items() <= shown["inputs"][0].items()


def test_the_newest_predictions_are_shown_spread_over_the_partitions_of_a_batch() -> None:
    worker = Worker()
    batch = [lesson_columns(p, 0, *[event(p)] * size) for p, size in ((0, 9), (1, 2), (2, 9))]
    worker.commit(*batch)
    first = ["0/8", "1/1", "2/8", "0/7", "1/0", "2/7", "0/6", "2/6"]
    assert offsets(worker.look()) == first
    worker.commit(lesson_columns(1, 2, event(1), b"junk"))
    assert offsets(worker.look()) == ["1/2", *first[:7]]


def test_an_event_that_comes_alone_is_shown_beside_those_before_it() -> None:
    worker = Worker()
    for offset in range(12):
        worker.commit(lesson_columns(0, offset, event(offset)))
        if offset % 5 == 0:
            worker.look()
    assert offsets(worker.look()) == [f"0/{offset}" for offset in range(11, 3, -1)]


def test_the_last_three_dead_letters_of_each_reason_stay_however_many_of_another_follow() -> None:
    worker = Worker()
    worker.answer(b"{", None, *[event(1, "low") for _ in range(5)])  # type: ignore[arg-type]
    letters = worker.answer(*[b"junk"] * 2_000, offset=7)["letters"]
    found: dict[str, list[str]] = {}
    for letter in letters:
        found.setdefault(letter["reason"], []).append(letter["position"].removeprefix("customers/0/"))
    assert found == {
        "not_json": ["2006", "2005", "2004"],
        "wrong_type": ["6", "5", "4"],
        "tombstone": ["1"],
        "truncated": ["0"],
    }
    assert [letter["committed"] for letter in letters] == sorted(
        (letter["committed"] for letter in letters), reverse=True
    )


def test_a_dead_letter_is_shown_with_its_reason_and_its_bytes() -> None:
    value = event(7, feature="low")  # type: ignore[arg-type]
    worker = Worker()
    worker.commit(RecordColumns("customers", 2, [9], [-1], [b"k\x1b[2J"], [value], {}, 10))
    [letter] = worker.look()["letters"]
    assert letter == {
        "position": "customers/2/9",
        "reason": "wrong_type",
        "field": "feature",
        "detail": "feature is 'low', which is not a number",
        "model": "threshold@1",
        "stamped": None,
        "committed": letter["committed"],
        "size": len(value),
        "key": r"k\x1b[2J",
        "value": value.decode(),
        "cut": False,
    }


@pytest.mark.parametrize(
    ("value", "shown", "cut"),
    [
        (None, None, False),
        (b"", "", False),
        (b"\xff\x00<b>\n", r"\xff\x00<b>\n", False),
        ("\u202egnp".encode(), r"\u202egnp", False),
        (b"x" * 600, "x" * 600, False),
        (b"x" * 601, "x" * 600, True),
        # The cut goes through the last character.
        (b"x" * 599 + "é".encode() * 2, "x" * 599, True),
    ],
)
def test_of_a_dead_letters_bytes_the_first_600_are_shown_as_text_that_can_be_printed(
    value: bytes | None, shown: str | None, cut: bool
) -> None:
    [letter] = Worker().answer(value)["letters"]
    assert (letter["value"], letter["cut"], letter["size"]) == (shown, cut, len(value or b""))


def test_values_are_short_texts_and_what_is_missing_is_said_to_be() -> None:
    numbers = of_kind(
        Mute,
        Input(name="a", type="number", missing="nan"),
        Input(name="b", type="integer"),
        Input(name="c", type="boolean"),
    )
    texts = of_kind(
        Mute,
        Input(name="d", type="category", values=("red", "é"), missing="nan"),
        Input(name="e", type="string"),
        Input(name="f", type="string"),
    )

    def values(predictor: Predictor, **inputs: Any) -> list[str]:
        value = json.dumps({"customer_id": 1} | inputs).encode()
        [shown] = Worker(predictor).answer(value)["predictions"]
        return [each["value"] for each in shown["inputs"]]

    assert values(numbers, a=0.1, b=3.0, c=True) == ["0.1", "3", "true"]
    assert values(numbers, a=1e300, b=-0, c=False) == ["1e+300", "0", "false"]
    assert values(numbers, b=1, c=False)[0] == "missing"
    assert values(texts, d="é", e="\x1b[2J", f="y" * 80) == ["é", r"\x1b[2J", "y" * 80]
    assert values(texts, e="\x00" * 80, f="y" * 81) == ["missing", r"\x00" * 19 + r"\x0…", "y" * 79 + "…"]


def test_a_kind_that_cannot_explain_shows_the_inputs_that_are_declared_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    many = [Input(name=name, type="number") for name in "zyxw"]
    value = json.dumps({"customer_id": 1, "z": 1, "y": 2, "x": 3, "w": 4}).encode()
    [shown] = Worker(of_kind(Mute, *many)).answer(value)["predictions"]
    assert shown["inputs"] == [
        {"input": name, "value": value, "contribution": None}
        for name, value in (("z", "1"), ("y", "2"), ("x", "3"))
    ]
    assert caplog.records == []


def test_a_model_that_fails_to_explain_is_told_of_once_and_its_predictions_are_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Worker(of_kind(Broken))
    for offset in range(3):
        latest = worker.answer(event(1), offset=offset)
    assert offsets(latest) == ["0/2", "0/1", "0/0"]
    assert latest["predictions"][0]["inputs"] == [{"input": "feature", "value": "0.1", "contribution": None}]
    [record] = caplog.records
    assert record.message.endswith("the page shows them without: MemoryError: 1 rows")


def test_events_of_two_models_are_each_explained_by_the_one_that_scored_them(tmp_path: Path) -> None:
    worker = Worker()
    worker.commit(lesson_columns(0, 0, event(1, 0.7)))
    other = Worker(Predictor.load(linear_model(tmp_path / "model")))
    worker.scorer = other.scorer
    row = {"customer_id": 2, "tenure": 0, "partner": True, "contract": "yearly"}
    worker.commit(lesson_columns(0, 1, json.dumps(row).encode()))
    new, old = worker.look()["predictions"]
    assert (new["model"], new["inputs"][0]["input"]) == ("linear@2", "charges")
    assert (old["model"], old["inputs"]) == (
        "threshold@1",
        [{"input": "feature", "value": "0.7", "contribution": 0.7}],
    )


# --- masked ---------------------------------------------------------------------------------------


def test_masked_a_customer_has_a_mark_that_is_the_same_again_and_in_no_other_process() -> None:
    worker = Worker(masked=True)
    latest = worker.answer(event(1, event_id="secret"), event(2), event(1))
    one, two, again = [shown["customer"] for shown in latest["predictions"]]
    assert one == again != two
    assert one.startswith("#")
    assert len(one) == 7
    assert {shown["event"] for shown in latest["predictions"]} == {None}
    assert latest["predictions"][0]["inputs"] == [{"input": "feature", "value": "0.1", "contribution": 0.1}]
    assert Worker(masked=True).answer(event(1))["predictions"][0]["customer"] != one


def test_masked_nothing_of_an_events_content_is_shown_but_the_inputs(tmp_path: Path) -> None:
    predictor = Predictor.load(linear_model(tmp_path / "model", strict=True))
    row = {"customer_id": "secret", "event_id": "secret", "tenure": 1, "partner": True, "contract": "é"}
    bad: list[dict[str, Any]] = [{"tenure": "secret"}, {"contract": "secret"}, {"secret": 1}]
    values = [json.dumps(row | changes).encode() for changes in [{}, *bad]]
    plain, masked = Worker(predictor), Worker(predictor, masked=True)
    shown = [worker.answer(*values, b"secret", b'"secret') for worker in (plain, masked)]
    assert [json.dumps(latest).count("secret") > 0 for latest in shown] == [True, False]
    assert [len(latest["predictions"]) + len(latest["letters"]) for latest in shown] == [6, 6]


@pytest.mark.parametrize("reason", Reason)
def test_masked_no_dead_letter_tells_anything_of_its_event(
    reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Sequence[Scored], committed: int) -> dict[Reason, list[Letter]]:
        field = "secret" if reason is Reason.UNKNOWN_FIELD else "feature"
        rejection = Rejection(0, reason, field, "feature is 'secret', which is wrong")
        place = Place("customers", 0, 5, STAMP, committed)
        return {reason: [Letter(place, rejection, "threshold@1", b"secret", b"secret", 6)]}

    monkeypatch.setattr("consumer.latest.showing.refused", refuse)
    [letter] = Worker(masked=True).answer(b"secret")["letters"]
    assert "secret" not in json.dumps(letter)
    assert "feature" not in letter["detail"]
    hidden: LatestLetter = {
        **letter,
        "position": "customers/0/5",
        "reason": reason.value,
        "stamped": STAMP,
        "size": 6,
        "key": None,
        "value": None,
        "cut": False,
    }
    assert letter == hidden


# --- when it is formed ----------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = Deadline.after(10)
    while not condition():
        assert not deadline.passed
        deadline.pause(0.005)


class Held:
    """An explanation that takes until it is let go of; entered, models explain themselves so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()
        explain = Predictor.explain_frame

        def held(predictor: Predictor, frame: Frame) -> Contributions:
            self.begun.set()
            assert self.goes_on.wait(10)
            return explain(predictor, frame)

        monkeypatch.setattr(Predictor, "explain_frame", held)


def test_only_what_is_new_is_formed_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    explained: list[int] = []
    explain = Predictor.explain_frame

    def counting(self: Predictor, frame: Frame) -> Contributions:
        explained.append(frame.count)
        return explain(self, frame)

    monkeypatch.setattr(Predictor, "explain_frame", counting)
    monkeypatch.setattr("consumer.latest.showing.time.thread_time", lambda: 0.0)
    worker = Worker()
    worker.commit(lesson_columns(0, 0, event(1), event(2)))
    assert worker.showing.form() == 0.9
    for offset in range(2, 5):
        worker.commit(lesson_columns(0, offset, event(offset)))
        assert offsets(worker.showing.latest()) == ["0/1", "0/0"]
    assert offsets(worker.look()) == ["0/4", "0/3", "0/2", "0/1", "0/0"]
    for _ in range(3):
        worker.look()
    assert explained == [2, 3]


def test_a_model_that_takes_long_to_explain_has_a_hundredth_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(_: Predictor, frame: Frame) -> Contributions:
        ends = time.thread_time() + 0.02
        while time.thread_time() < ends:
            pass
        return Contributions(np.zeros((frame.count, 1)), np.zeros(frame.count))

    monkeypatch.setattr(Predictor, "explain_frame", slow)
    worker = Worker()
    worker.commit(lesson_columns(0, 0, event(1)))
    assert worker.showing.form() >= 99 * 0.02


def test_what_is_committed_is_formed_by_itself_and_then_there_is_a_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker()
    form, formed = worker.showing.form, []

    def forming() -> float:
        formed.append(time.monotonic())
        form()
        return 0.1 if len(formed) == 1 else 60.0

    monkeypatch.setattr(worker.showing, "form", forming)
    with worker.showing:
        worker.commit(lesson_columns(0, 0, event(1)))
        wait_for(lambda: bool(formed))
        worker.commit(lesson_columns(0, 1, event(1)))
        wait_for(lambda: len(formed) == 2)
    assert formed[1] - formed[0] >= 0.1
    assert offsets(worker.showing.latest()) == ["0/1", "0/0"]
    assert "latest-events" not in [thread.name for thread in threading.enumerate()]


def test_nobody_waits_for_a_model_that_takes_long_to_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.latest.showing._PAUSE", 0.0)
    monkeypatch.setattr("consumer.latest.showing._PATIENCE", 0.01)
    held, worker, telemetry = Held(monkeypatch), Worker(), Telemetry()
    telemetry.show(worker.showing.latest)
    with worker.showing:
        worker.commit(lesson_columns(0, 0, event(1)))
        assert held.begun.wait(10)
        worker.commit(lesson_columns(0, 1, event(2)))
        assert telemetry.snapshot()["latest"] == {"predictions": [], "letters": []}
    # The block has ended before the explanation: what it comes to is nobody's.
    assert "latest-events" in [thread.name for thread in threading.enumerate()]
    held.goes_on.set()
    wait_for(lambda: bool(worker.showing.latest()["predictions"]))
    assert offsets(worker.showing.latest()) == ["0/0"]


def test_what_fails_there_harms_no_snapshot_and_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker()
    worker.answer(event(1))
    with monkeypatch.context() as patch:
        patch.setattr("consumer.latest.showing.Contributed", None)
        worker.commit(lesson_columns(0, 1, event(2)))
        assert worker.showing.form() == 60
        assert offsets(worker.showing.latest()) == ["0/0"]
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "The page could not be given the latest events; predictions are not affected"
    ]
    assert offsets(worker.answer(event(3), offset=2)) == ["0/2", "0/0"]


@pytest.mark.parametrize("picking", ["newest", "refused"])
def test_a_fault_in_picking_ends_no_consumer_and_is_said_once_a_minute(
    picking: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(_: Sequence[Scored], committed: int) -> None:
        raise IndexError(committed)

    worker = Worker()
    with monkeypatch.context() as patch:
        patch.setattr(f"consumer.latest.showing.{picking}", failing)
        for offset in range(3):
            worker.clock.now += 59.0 if offset == 2 else 0.5
            worker.commit(lesson_columns(0, offset, event(1)))
        assert len(caplog.records) == 1
        worker.clock.now += 1.0
        worker.commit(lesson_columns(0, 3, event(1)))
    assert [record.message for record in caplog.records] == [
        "The page is not shown the events of a batch; predictions are not affected"
    ] * 2
    assert worker.told.committed_events == [1] * 4
    assert offsets(worker.answer(event(3), offset=4)) == ["0/4"]


def test_events_are_committed_while_others_look(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    looking, seen = threading.Event(), []

    def look() -> None:
        while not looking.is_set():
            seen.append(json.dumps(worker.showing.latest()))

    monkeypatch.setattr("consumer.latest.showing._PAUSE", 0.0)
    monkeypatch.setattr("consumer.latest.showing._REST_TIMES", 0)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        with worker.showing:
            for offset in range(0, 600, 3):
                worker.commit(lesson_columns(0, offset, event(1), b"junk", event(2)))
    finally:
        looking.set()
    thread.join()
    latest = worker.look()
    assert offsets(latest) == ["0/599", "0/597", "0/596", "0/594", "0/593", "0/591", "0/590", "0/588"]
    assert len(latest["letters"]) == 3
    assert seen


# --- whether it is ---------------------------------------------------------------------------------


def settings(*arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *arguments], "python -m consumer")


@pytest.mark.parametrize("arguments", [["--page", "figures"], ["--http-host", "0.0.0.0"], ["--no-http"]])  # noqa: S104 - nothing listens
def test_where_the_page_shows_no_events_none_are_kept(arguments: list[str]) -> None:
    telemetry, told = Telemetry(), Told()
    with showing(settings(*arguments), telemetry, told) as listening:
        assert listening is told
    assert telemetry.snapshot()["latest"] is None


@pytest.mark.parametrize("masked", [False, True])
def test_where_it_shows_them_a_snapshot_has_them_and_all_is_passed_on(masked: bool) -> None:
    telemetry, told = Telemetry(), Told()
    worker = Worker()
    with showing(settings(*["--mask-customers"] * masked), telemetry, told) as listening:
        listening.committed(worker.scorer.score([lesson_columns(0, 0, event(41))], now=1), polled_at=1.0)
        wait_for(lambda: '"customer"' in json.dumps(telemetry.snapshot()["latest"]))
    assert told.committed_events == [1]
    sent = json.loads(json.dumps(telemetry.snapshot()))["latest"]
    assert [shown["customer"] == "41" for shown in sent["predictions"]] == [not masked]
