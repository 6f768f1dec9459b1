"""`python -m batch advise`, from events to the recommendation."""

import html
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from batch import topic_rows
from batch.__main__ import main
from batch.advice import advise, costs
from batch.advice.command import sources_in
from batch.advice.costs import Start
from batch.advice.result import Advice
from batch.advice.settings import AdviseSettings
from producer.generate import churn_customers, over_time, returning_customers
from shared.errors import ExitCode, TandemError
from shared.kafka.columns import RecordColumns
from shared.kafka.to_end import Extent
from shared.models.shipped import shipped_model
from shared.predict import Predictor
from shared.settings import load
from tests.support.evidence import TIME, write_snapshot
from tests.support.models import threshold_model

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
LINEAR = shipped_model("churn-linear")
START = Start(0.5, 0.6)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs are measured for a moment only, and no run is started."""
    monkeypatch.setattr(costs, "_MEASURED", 0.001)
    monkeypatch.setattr(advise, "start_of_run", lambda *_: START)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "threshold")


def at(hours: float) -> str:
    return (FIRST + timedelta(hours=hours)).isoformat()


def write(path: Path, events: list[dict[str, Any]] | Iterator[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def event(customer: int, feature: float, hours: float) -> dict[str, Any]:
    return {"customer_id": customer, "feature": feature, "occurred_at": at(hours)}


def advice_on(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Advice:
    assert main(["advise", *map(str, arguments), "--json"]) == ExitCode.DONE
    return Advice.model_validate_json(capsys.readouterr().out)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["advise", *map(str, arguments)]) in {ExitCode.UNREADABLE, ExitCode.USAGE}
    return capsys.readouterr().err


def figures(advice: Advice, name: str) -> tuple[int, int, int, int, int]:
    found = next(one for one in advice.cadences if one.name == name)
    return found.uses, found.stale, found.without, found.missed, found.runs


@pytest.mark.usefixtures("quick")
def test_each_cadence_is_told_what_it_would_have_done(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # One who changes at 30 h, and back 90 minutes later; one who comes every hour and stays what he is.
    changing = [event(1, feature, hour) for hour, feature in ((1, 0.1), (30, 0.9), (31.5, 0.1), (100, 0.1))]
    steady = [event(2, 0.9, hour + 0.25) for hour in range(100)]
    path = write(tmp_path / "events.ndjson", [*changing, *steady])
    advice = advice_on(
        capsys, path, "--model", model, "--warm-up", "26h30m", "--every", "2h", "--run-seconds", "0"
    )
    assert (advice.events, advice.customers, advice.seconds) == (104, 2, 99.75 * 3_600)
    assert [one.name for one in advice.cadences] == [
        "real time",
        "every minute",
        "hourly",
        "every 2 h",
        "nightly",
    ]
    # 73 of the steady one from 27.25 h on, and three of the changing one, of whom two are changes.
    assert figures(advice, "real time") == (76, 0, 0, 0, 0)
    assert figures(advice, "every minute") == (76, 2, 0, 0, 5_985)
    assert figures(advice, "hourly") == (76, 2, 0, 0, 100)
    # No run of two hours lies between the two changes, and none at night.
    assert figures(advice, "every 2 h") == (76, 1, 0, 1, 50)
    assert figures(advice, "nightly") == (76, 1, 0, 1, 5)
    assert {one.changed_customers for one in advice.cadences} == {1}
    standing = [one.standing for one in advice.cadences]
    assert [None if one is None else one.largest for one in standing] == [
        None,
        60.0,
        3_600.0,
        5_400.0,
        5_400.0,
    ]
    assert advice.recommended == "real time"


@pytest.mark.usefixtures("quick")
def test_costs_are_those_of_events_and_of_starts_and_priced_as_held_or_used(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "events.ndjson", [event(place % 9, 0.9, place / 10) for place in range(2_400)])
    options = ("--model", model, "--price", "36", "--stream-cpu", "50", "--stream-cores", "0.5")
    advice = advice_on(capsys, path, *options)
    stream, minute, hourly, nightly = advice.cadences
    assert stream.cpu_seconds_per_million == 50
    # 2,400 events in 239.9 hours.
    assert stream.cpu_seconds_per_day == pytest.approx(2_400 / 239.9 * 24 * 50e-6)
    assert (stream.reserved_seconds_per_day, stream.price_per_day) == (43_200, 432)
    for cadence, starts in ((minute, 1_440), (hourly, 24), (nightly, 1)):
        scoring = 2_400 / 239.9 * 24 * cadence.cpu_seconds_per_million / 1e6
        assert cadence.cpu_seconds_per_day == pytest.approx(starts * START.cpu + scoring)
        assert cadence.price_per_day == pytest.approx(cadence.cpu_seconds_per_day / 100)
        assert cadence.run_seconds >= START.seconds
    assert advice.recommended == "nightly"
    assert "No customer's decision changed" in " ".join(advice.reasons)


@pytest.mark.usefixtures("quick")
def test_a_cadence_with_fewer_than_two_runs_is_left_out_and_said_to_be(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "events.ndjson", [event(1, 0.9, place / 600) for place in range(1_000)])
    advice = advice_on(capsys, path, "--model", model)
    assert [one.name for one in advice.cadences] == ["real time", "every minute"]
    assert (
        "Hourly is left out: 1 h 40 min of recorded events hold one run of it; two are needed."
        in advice.notes
    )
    assert (
        "Nightly is left out: 1 h 40 min of recorded events hold no run of it; two are needed."
        in advice.notes
    )


@pytest.mark.usefixtures("quick")
def test_a_cadence_whose_runs_would_overtake_each_other_is_left_out(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "events.ndjson", [event(1, 0.9, place / 10) for place in range(100)])
    advice = advice_on(capsys, path, "--model", model, "--run-seconds", "61")
    assert [one.name for one in advice.cadences] == ["real time", "hourly"]
    assert any("Every minute is left out: a run takes 1 min 1 s" in note for note in advice.notes)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--run-seconds", "1000000"], "every minute, a run takes 11 d 14 h"),
        (
            ["--warm-up", "30d"],
            "nightly, no event comes after its first run has ended and the warm-up is over",
        ),
    ],
)
def test_a_recording_is_called_too_short_only_where_it_is(
    options: list[str], why: str, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "events.ndjson", [event(1, 0.9, place) for place in range(100)])
    advice = advice_on(capsys, path, "--model", model, *options)
    assert [one.name for one in advice.cadences] == ["real time"]
    assert "too short" not in advice.recommendation
    assert why in advice.recommendation


@pytest.mark.usefixtures("quick")
def test_events_at_the_ends_of_the_calendar_are_left_out_in_a_sentence(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = [
        {**event(1, 0.9, 0), "occurred_at": text} for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
    ]
    path = write(tmp_path / "events.ndjson", [*ends, *(event(1, 0.9, place) for place in range(3))])
    advice = advice_on(capsys, path, "--model", model)
    assert advice.events == 3
    assert any(note.startswith("2 events lie far from all others in time") for note in advice.notes)


@pytest.mark.usefixtures("quick")
def test_a_recording_of_a_moment_gets_an_advice_that_says_so(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = advice_on(capsys, write(tmp_path / "one.ndjson", [event(1, 0.9, 0)]), "--model", model)
    assert (advice.recommended, advice.seconds) == ("real time", 0)
    assert "too short to tell" in advice.recommendation


@pytest.mark.usefixtures("quick")
def test_customers_who_come_once_need_real_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = over_time(churn_customers(1), 1, FIRST, timedelta(days=4), 400)
    path = write(tmp_path / "events.ndjson", (customer.event for customer in made))
    advice = advice_on(capsys, path, "--model", LINEAR)
    assert advice.recommended == "real time"
    assert {one.without for one in advice.cadences[1:]} == {200}
    assert {one.age for one in advice.cadences[1:]} == {None}, "no decision was ever in force"
    assert any("Each customer came only once" in reason for reason in advice.reasons)


def snapshots(tmp_path: Path, late: int) -> tuple[Path, Path]:
    """Events of two partitions, and predictions of most of them so many milliseconds later."""
    events = [customer.event for customer in islice(returning_customers(0, 20), 200)]
    times = [TIME + 60_000 * place for place in range(100)]
    columns, predicted = [], []
    for partition in (0, 1):
        values: list[bytes | None] = [
            json.dumps(one).encode() for one in events[100 * partition : 100 * (partition + 1)]
        ]
        offsets = [2 * place for place in range(100)]
        columns.append(RecordColumns("customers", partition, offsets, times, [None] * 100, values))
        answers: list[bytes | None] = [
            json.dumps({"prediction_id": f"customers/{partition}/{offset}"}).encode() for offset in offsets
        ]
        # What is of no event, or no prediction at all, is passed over.
        answers[0], answers[1], answers[2] = b"{}", b'{"prediction_id": "customers/0/7"}', None
        stamped = [time + late for time in times]
        predicted.append(RecordColumns("predictions", partition, offsets, stamped, [None] * 100, answers))
    return (
        write_snapshot(tmp_path / "events", "customers", columns),
        write_snapshot(tmp_path / "predictions", "predictions", predicted),
    )


@pytest.mark.usefixtures("quick")
def test_real_time_s_age_is_how_late_the_predictions_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events, predictions = snapshots(tmp_path, 40)
    advice = advice_on(capsys, events, "--model", LINEAR, "--predictions", predictions)
    age = advice.cadences[0].age
    assert age is not None
    assert (sum(age.counts), age.p50, age.largest) == (194, 0.04, 0.04)
    assert not any("--predictions" in note for note in advice.notes)
    silent = advice_on(capsys, events, "--model", LINEAR)
    at_once = silent.cadences[0].age
    assert at_once is not None
    assert at_once.largest == 0
    assert any("--predictions measures how late" in note for note in silent.notes)


@pytest.mark.usefixtures("quick")
def test_predictions_of_other_events_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events, _ = snapshots(tmp_path, 40)
    answers: list[bytes | None] = [b'{"prediction_id": "others/0/2"}']
    others = RecordColumns("predictions", 0, [0], [TIME], [None], answers)
    other = write_snapshot(tmp_path / "others", "predictions", [others])
    said = refusal(capsys, events, "--model", LINEAR, "--predictions", other)
    assert "none of these predictions is of an event that was read" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("events.ndjson", "events.ndjson is a file\nName topic:NAME, or the folder of a snapshot of it."),
        ("nowhere", "nowhere: there is no such folder\nCheck the name."),
    ],
)
def test_predictions_that_are_no_snapshot_are_refused_before_any_event_is_read(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It would be refused as well: it holds no event.
    path = write(tmp_path / "events.ndjson", [])
    assert said in refusal(capsys, path, "--model", LINEAR, "--predictions", tmp_path / name)


def test_a_source_that_is_not_there_is_said_not_to_be(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, tmp_path / "nowhere", "--model", model)
    assert "nowhere: there is no such file or folder\nCheck the name." in said


def test_what_is_printed_ends_with_the_recommendation_and_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = over_time(returning_customers(0, 30), 0, FIRST, timedelta(days=6), 600)
    path = write(tmp_path / "events.ndjson", (customer.event for customer in made))
    # Everything is measured here, a run's start too.
    assert main(["advise", str(path), "--model", str(LINEAR), "--price", "0.05", "--tolerate", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table, rest = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert [line.split("  ")[0] for line in table[1:]] == [
        *("cadence", "real time", "every minute", "hourly", "nightly")
    ]
    assert rest[0].startswith("Score every night: ")
    assert "86,400 that real time reserves, a price of" in rest[0]
    assert all(line.startswith("- ") for line in rest[1:])


@pytest.mark.usefixtures("quick")
def test_a_report_is_written_where_it_is_asked_for(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "events.ndjson", [event(1, 0.9, place) for place in range(100)])
    advice = advice_on(capsys, path, "--model", model, "--report", tmp_path / "report")
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert Advice.model_validate(document["advice"]) == advice
    assert advice.recommendation in html.unescape((tmp_path / "report" / "report.html").read_text())


@pytest.mark.usefixtures("quick")
def test_the_advice_is_shown_also_where_the_report_cannot_be_written(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "events.ndjson", [event(1, 0.9, place) for place in range(100)])
    (tmp_path / "report" / "report.json").mkdir(parents=True)
    options = ["--model", str(model), "--report", str(tmp_path / "report")]
    assert main(["advise", str(path), *options]) == ExitCode.UNREADABLE
    told = capsys.readouterr()
    assert "Score " in told.out
    assert "report.json: cannot be written" in told.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--every", "15"], "--every"),
        (["--every", "0.5s"], "--every"),
        (["--time-zone", "Middle/Earth"], "a name of the time zone database"),
        (["--time-zone", "../etc/passwd"], "a name of the time zone database"),
        (["--nightly-at", "02:00+01:00"], "--time-zone says where"),
        (["--tolerate", "2"], "--tolerate"),
        (["--price", "inf"], "--price or TANDEM_PRICE: Input should be a finite number"),
        (["--price", "nan"], "--price or TANDEM_PRICE: Input should be a finite number"),
        (["--price", "1e300"], "--price or TANDEM_PRICE: Input should be less than or equal to"),
        (["--stream-cores", "inf"], "--stream-cores or TANDEM_STREAM_CORES: Input should be a finite number"),
        (["--run-seconds", "nan"], "--run-seconds or TANDEM_RUN_SECONDS: Input should be a finite number"),
        (["--stream-cpu", "inf"], "--stream-cpu or TANDEM_STREAM_CPU: Input should be a finite number"),
        (
            ["--warm-up", "99999999999999d"],
            "--warm-up or TANDEM_WARM_UP: a length of time of 100 years or less",
        ),
        (["--every", "9" * 400 + "d"], "--every or TANDEM_EVERY: a length of time of 100 years or less"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(
    options: list[str], said: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(capsys, "events.ndjson", "--model", model, *options)


@pytest.fixture
def one_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The topic customers has one partition, which holds nothing; no broker is asked."""
    monkeypatch.setattr(topic_rows, "extents", lambda *_: {0: Extent(0, 0)})
    monkeypatch.setattr(topic_rows, "read_to_end", lambda *_: iter(()))


@pytest.mark.usefixtures("one_topic")
def test_a_topic_that_is_named_twice_counts_once(model: Path) -> None:
    arguments = ["topic:customers", "topic:customers", "--model", str(model)]
    settings = load(AdviseSettings, arguments, "python -m batch advise")
    assert [source.name for source in sources_in(settings, Predictor.load(model))] == ["customers/0"]


@pytest.mark.usefixtures("one_topic")
def test_a_topic_and_a_snapshot_of_it_are_refused(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events, _ = snapshots(tmp_path, 40)
    said = refusal(capsys, "topic:customers", events, "--model", model)
    assert "customers/0: another input holds rows of this name too" in said


def test_a_database_is_no_source_of_events(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "postgresql://me:word@db/shop", "--model", model)
    assert "is a database" in said
    assert "word" not in said


def test_a_run_that_fails_to_start_says_why(tmp_path: Path, model: Path) -> None:
    predictor = Predictor.load(model)
    with pytest.raises(TandemError, match=r"failed: error: .*nowhere"):
        costs.start_of_run(tmp_path / "nowhere", predictor)
