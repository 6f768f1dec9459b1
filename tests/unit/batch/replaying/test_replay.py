"""`python -m batch replay` on files, as a person runs it."""

import json
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from batch.__main__ import main
from batch.replaying import history
from batch.replaying.result import Replay
from shared.errors import ExitCode
from shared.predict import Predictor
from tests.support.models import GOLDEN, INPUTS, WEIGHTS, linear_model, threshold_model
from tests.support.tables import LESSON, Rows, write_rows

EVENTS: Rows = [*LESSON, {"customer_id": 105, "feature": 0.7}]
#: Another opinion of every input; one of them may be missing now, which needs a model file of its own.
OTHER_WEIGHTS = {**WEIGHTS, "partner": 0.4, "contract": {"monthly": 0.3, "yearly": 0.5, "é": -0.2}}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "before")


@pytest.fixture
def after(tmp_path: Path) -> Path:
    """The same scores, and a lower threshold."""
    return threshold_model(tmp_path / "after", version="2", threshold=0.45)


def run(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> Replay:
    """What a replay finds."""
    capsys.readouterr()
    assert main(["replay", *map(str, arguments), "--json"]) == ExitCode.DONE
    return Replay.model_validate_json(capsys.readouterr().out)


def refusal(capsys: pytest.CaptureFixture[str], code: ExitCode, *arguments: Path | str) -> str:
    """What a replay says that cannot be done."""
    capsys.readouterr()
    assert main(["replay", *map(str, arguments)]) == code
    return " ".join(capsys.readouterr().err.split())


def test_the_lesson_with_a_lower_threshold(
    tmp_path: Path, before: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 0.2, 0.8, 0.5, 0.9 and 0.7 only 0.5 lies between the thresholds 0.45 and 0.6."""
    path = write_rows(tmp_path, "csv", EVENTS)
    found = run(capsys, after, path, "--against", before)
    assert (found.events, found.compared, found.newly_rejected, found.newly_scored) == (5, 5, {}, 0)
    assert found.all.model_dump() == {
        "feature": "",
        "segment": "",
        "events": 5,
        "raised": 1,
        "lowered": 0,
        "mean_change": 0.0,
        "beyond_chance": False,
    }
    assert [(one.feature, one.segment, one.events, one.raised) for one in found.segments] == [
        ("feature", "0.5", 1, 1),
        *(("feature", text, 1, 0) for text in ("0.2", "0.7", "0.8", "0.9")),
    ]
    (affected,) = found.affected
    assert (affected.customer, affected.position, affected.decision) == ("103", "rows.csv/2", True)
    assert found.notes == ["The thresholds differ: 0.6 of threshold@1, 0.45 of threshold@2."]
    assert found.before.startswith("threshold@1 ")
    assert found.after.startswith("threshold@2 ")


def test_what_is_printed_ends_with_the_verdict(
    tmp_path: Path, before: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "ndjson", [*EVENTS, {"customer_id": 106}])
    assert main(["replay", str(after), str(path), "--against", str(before)]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "Segments that flip most" in shown
    assert "Customers most affected" in shown
    assert shown.splitlines()[-1] == (
        "1 of 5 decisions flips (20%): 1 becomes true, 0 become false."
        " Their scores stay: only the threshold is another."
    )


def made_up(count: int, seed: int = 3) -> list[dict[str, Any]]:
    """Events, a few of which one model or both reject."""
    drawn = random.Random(seed)  # noqa: S311 - made up, not secret
    events: list[dict[str, Any]] = []
    for number in range(count):
        event = {
            "customer_id": drawn.randrange(count // 3),
            "tenure": drawn.randrange(80),
            "charges": drawn.choice([None, round(drawn.uniform(18, 110), 2)]),
            "partner": drawn.random() < 0.4,
            "contract": drawn.choice(["monthly", "yearly", "é"]),
            "event_id": f"e{number}",
        }
        if drawn.random() < 0.05:
            event["contract"] = drawn.choice(["daily", "weekly"])
        events.append(event)
    return events


def models_of(tmp_path: Path) -> tuple[Path, Path]:
    """Two linear models; only the first takes contracts that are daily, and an event without charges."""
    inputs = [dict(declared) for declared in INPUTS]
    inputs[3]["values"] = ["monthly", "yearly", "é", "daily"]
    weights = {**WEIGHTS, "contract": {**WEIGHTS["contract"], "daily": 0.2}}
    before = linear_model(tmp_path / "before", inputs=inputs, weights=weights)
    inputs = [{name: value for name, value in declared.items() if name != "default"} for declared in INPUTS]
    golden = [{**event, "charges": 20.5} for event in GOLDEN]
    after = linear_model(
        tmp_path / "after", inputs=inputs, weights=OTHER_WEIGHTS, version="3", threshold=0.45, golden=golden
    )
    return before, after


@pytest.mark.parametrize("form", ["ndjson", "parquet", "csv"])
def test_a_replay_finds_what_scoring_event_by_event_finds(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = made_up(900)
    before, after = models_of(tmp_path)
    found = run(capsys, after, write_rows(tmp_path, form, events), "--against", before, "--top", "1000")

    predictors = [Predictor.load(model) for model in (before, after)]
    raised = lowered = newly_scored = 0
    changes: list[Fraction] = []
    rejected: Counter[str] = Counter()
    by_contract: dict[str, list[int]] = {}
    affected: dict[str, float] = {}
    for event in events:
        was, would = (predictor.score_one(event) for predictor in predictors)
        newly_scored += bool(was.rejections and not would.rejections)
        if was.rejections or would.rejections:
            rejected.update(str(one.reason) for one in would.rejections if not was.rejections)
            continue
        change = would.scores[0] - was.scores[0]
        changes.append(Fraction(float(change)))
        flips = [bool(would.decisions[0] > was.decisions[0]), bool(would.decisions[0] < was.decisions[0])]
        raised, lowered = raised + flips[0], lowered + flips[1]
        segment = by_contract.setdefault(event["contract"], [0, 0, 0])
        by_contract[event["contract"]] = [a + b for a, b in zip(segment, [1, *flips], strict=True)]
        if any(flips):
            customer = str(event["customer_id"])
            affected[customer] = max(affected.get(customer, 0.0), abs(float(change)))
    assert found.events == 900
    assert (found.compared, found.newly_scored) == (len(changes), newly_scored)
    assert min(raised, lowered, len(rejected)) > 0
    assert found.newly_rejected == dict(rejected)
    assert (found.all.raised, found.all.lowered) == (raised, lowered)
    assert found.all.mean_change == float(sum(changes) / len(changes))
    assert by_contract == {
        one.segment: [one.events, one.raised, one.lowered]
        for one in found.segments
        if one.feature == "contract"
    }
    assert {one.customer: abs(one.after - one.before) for one in found.affected} == affected
    assert len(found.affected) == len(affected)


def counts_of(found: Replay, feature: str) -> dict[str, int]:
    """How many events there are of each segment."""
    return {one.segment: one.events for one in found.segments if one.feature == feature}


@pytest.mark.parametrize("form", ["ndjson", "parquet"])
def test_events_are_divided_by_an_input_that_only_the_tried_model_has(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, _ = models_of(tmp_path)
    town = {"name": "town", "type": "category", "values": ["a", "b"]}
    after = linear_model(
        tmp_path / "wider",
        inputs=[*INPUTS, town],
        weights={**WEIGHTS, "town": {"a": 0.1, "b": -0.1}},
        kind="linear",
        golden=[{**event, "town": "a"} for event in GOLDEN],
    )
    events = [{**event, "town": "ab"[place % 2]} for place, event in enumerate(made_up(300))]
    events[7]["town"] = "c"
    found = run(
        capsys, after, write_rows(tmp_path, form, events), "--against", before, "--by", "town,contract"
    )
    scored = [
        event for event in events if event["contract"] in {"monthly", "yearly", "é"} and event["town"] != "c"
    ]
    assert counts_of(found, "town") == Counter(event["town"] for event in scored)
    assert counts_of(found, "contract") == Counter(event["contract"] for event in scored)


def test_events_that_a_model_fails_for_do_not_shift_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = linear_model(tmp_path / "before", link="identity", weights={**WEIGHTS, "charges": 1e300})
    after = linear_model(tmp_path / "after", version="3")
    events = [event for event in made_up(300) if event["contract"] in {"monthly", "yearly", "é"}]
    events[3]["charges"] = events[50]["charges"] = 1e10
    path = write_rows(tmp_path, "ndjson", events)
    rest = [event for event in events if event["charges"] != 1e10]
    for models, newly_scored, rejected in (
        ((after, before), 2, {}),
        ((before, after), 0, {"model_error": 2}),
    ):
        found = run(capsys, models[0], path, "--against", models[1])
        assert (found.compared, found.newly_scored, found.newly_rejected) == (
            len(rest),
            newly_scored,
            rejected,
        )
        assert counts_of(found, "contract") == Counter(event["contract"] for event in rest)


def without_positions(found: Replay) -> Any:
    """All that a replay finds but where the events are and what their files are called."""
    told = found.model_dump(exclude={"source"})
    told["affected"] = [{**one, "position": None} for one in told["affected"]]
    return told


def test_batches_order_and_files_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = made_up(600)
    before, after = models_of(tmp_path)
    against = ("--against", before)
    whole = without_positions(run(capsys, after, write_rows(tmp_path / "one", "parquet", events), *against))
    cuts = {"a": events[:100], "b": events[100:101], "c": events[101:]}
    files = [write_rows(tmp_path / "cut", "parquet", rows, name) for name, rows in cuts.items()]
    assert without_positions(run(capsys, after, *files, *against)) == whole
    mixed = random.Random(1).sample(events, len(events))  # noqa: S311 - made up, not secret
    shuffled = write_rows(tmp_path / "mixed", "ndjson", mixed)
    assert without_positions(run(capsys, after, shuffled, *against)) == whole
    monkeypatch.setattr(history, "_ROWS_AT_ONCE", 17)
    assert without_positions(run(capsys, after, tmp_path / "cut", *against)) == whole


def test_predictions_that_were_made_say_what_decided(
    tmp_path: Path, before: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a folder and as one of its files; an event that was not scored then has no decision to flip."""
    path = write_rows(tmp_path, "ndjson", [*EVENTS, {"customer_id": 106}])
    scored = tmp_path / "scored"
    assert main(["score", str(path), "--model", str(before), "--output", str(scored)]) == ExitCode.DONE
    path.write_bytes(path.read_bytes() + b'{"customer_id": 107, "feature": 0.5}\n')
    by_model = run(capsys, after, path, "--against", before)
    assert by_model.compared == 6
    for place in (scored, scored / "part-00000-0000.parquet"):
        found = run(capsys, after, path, "--against", place)
        assert (found.before, found.events, found.compared, found.newly_scored) == (by_model.before, 7, 5, 1)
        assert (found.all.raised, found.newly_rejected) == (1, {})
        assert [one.position for one in found.affected] == ["rows.ndjson/2"]
        assert found.notes[0].startswith("Of events that the tried model scores, 1 have no prediction in")


def test_an_event_that_only_the_tried_model_rejects_has_lost_its_prediction(
    tmp_path: Path, before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [
        {"name": "customer_id", "type": "integer"},
        {"name": "feature", "type": "number", "maximum": 0.85},
    ]
    after = threshold_model(tmp_path / "after", version="2", inputs=inputs)
    path, scored = write_rows(tmp_path, "ndjson", EVENTS), tmp_path / "scored"
    assert main(["score", str(path), "--model", str(before), "--output", str(scored)]) == ExitCode.DONE
    for against in (before, scored):
        found = run(capsys, after, path, "--against", against)
        assert (found.compared, found.newly_rejected, found.lost) == (4, {"out_of_range": 1}, 1)
        (note,) = found.notes
        assert note.startswith("Rejected by threshold@2 only, for out_of_range of feature, 1: ")
    too_many = refusal(capsys, ExitCode.ANSWER_IS_NO, after, path, "--against", before, "--fail-above", "0.1")
    assert "1 of 5 decisions (20%) flip or are lost, more than --fail-above 0.1 allows" in too_many


def test_fail_above_is_a_limit_that_may_be_reached(
    tmp_path: Path, before: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", EVENTS)
    arguments = (after, path, "--against", before, "--fail-above")
    assert run(capsys, *arguments, "0.2").all.flipped == 1
    assert "1 of 5 decisions" in refusal(capsys, ExitCode.ANSWER_IS_NO, *arguments, "0.19")


def test_by_where_and_sample_choose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = models_of(tmp_path)
    path = write_rows(tmp_path, "parquet", made_up(900))
    all_of_them = run(capsys, after, path, "--against", before)
    assert {one.feature for one in all_of_them.segments} == {"tenure", "charges", "partner", "contract"}
    some = run(
        capsys, after, path, "--against", before, "--by", "contract,partner", "--where", "contract = 'yearly'"
    )
    assert {(one.feature, one.segment) for one in some.segments} == {
        ("contract", "yearly"),
        ("partner", "true"),
        ("partner", "false"),
    }
    of_all = next(one for one in all_of_them.segments if one.segment == "yearly")
    assert next(one for one in some.segments if one.segment == "yearly").flipped == of_all.flipped
    sampled = run(capsys, after, path, "--against", before, "--sample", "0.1")
    assert 0 < sampled.events < 200
    assert sampled == run(capsys, after, path, "--against", before, "--sample", "0.1")


def test_a_model_against_itself_flips_nothing(
    tmp_path: Path, before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", EVENTS)
    found = run(capsys, before, path, "--against", before)
    assert (found.compared, found.all.flipped) == (5, 0)
    assert found.notes == [f"Both are the same model, {found.before}: nothing can flip."]
    assert main(["replay", str(before), str(path), "--against", str(before)]) == ExitCode.DONE
    assert "No decision flips: 5 events have one of both." in capsys.readouterr().out


def test_a_report_is_written(
    tmp_path: Path, before: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "csv", EVENTS)
    found = run(capsys, after, path, "--against", before, "--report", tmp_path / "report")
    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert Replay.model_validate(written["replay"]) == found
    assert (tmp_path / "report" / "report.html").exists()


def test_an_input_that_history_lacks(
    tmp_path: Path, before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of columns is refused; events are rejected one by one, and it is said what to do."""
    after = linear_model(tmp_path / "after")
    found = run(capsys, after, write_rows(tmp_path, "ndjson", EVENTS), "--against", before)
    assert (found.compared, found.newly_rejected) == (0, {"missing_field": 5})
    assert 'declare a default or "missing": "nan"' in found.notes[-1]
    assert main(["replay", str(after), str(tmp_path / "rows.ndjson"), "--against", str(before)]) == 0
    assert "Nothing to compare: no event has a decision of both." in capsys.readouterr().out
    said = refusal(
        capsys, ExitCode.UNREADABLE, after, write_rows(tmp_path, "csv", EVENTS), "--against", before
    )
    assert "rows.csv: the column 'tenure' is missing, and linear@2 wants it" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--by", "plan"], ExitCode.USAGE, "--by plan: no such input of threshold@1 or threshold@2"),
        (["--where", "feature >"], ExitCode.USAGE, "--where: a value is expected"),
        (["--where", "feature > 5"], ExitCode.UNREADABLE, "there is no event to score"),
        (["--against", "nowhere"], ExitCode.UNREADABLE, "nowhere: there is no such file or folder"),
        (["--against", "{tmp}"], ExitCode.UNREADABLE, "it holds neither a model nor predictions"),
        (["--against", "{tmp}/rows.csv"], ExitCode.UNREADABLE, "not a file of predictions"),
        (["--against", "{tmp}/other/scored"], ExitCode.UNREADABLE, "no event of rows.csv has a prediction"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    arguments: list[str],
    code: ExitCode,
    said: str,
    tmp_path: Path,
    before: Path,
    after: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_rows(tmp_path, "csv", EVENTS)
    other = write_rows(tmp_path / "other", "ndjson", EVENTS)
    assert main(["score", str(other), "--model", str(before), "--output", f"{tmp_path}/other/scored"]) == 0
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    against = [] if "--against" in filled else ["--against", str(before)]
    assert said in refusal(capsys, code, after, path, *against, *filled)


def test_a_tried_model_that_is_none(tmp_path: Path, before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(tmp_path, "csv", EVENTS)
    said = refusal(capsys, ExitCode.UNREADABLE, tmp_path / "nothing", path, "--against", before)
    assert "nothing: no model.json found there" in said
