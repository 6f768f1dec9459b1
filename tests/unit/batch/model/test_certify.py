"""Certifying finds what is not stable, writes down what is, and changes nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch.model import certify as module
from batch.model.golden import choose_golden
from shared.errors import ExitCode, InputError, ModelError
from shared.models.certificate import Certificate, Combination
from shared.models.directory import read_model
from shared.predict import Predictor
from tests.support.commands import command
from tests.support.models import change_model, linear_model, threshold_model
from tests.support.tables import write_rows

Certify = Callable[..., Certificate]
Planted = Callable[[str], Path]


def failing(certificate: Certificate, trial: int = -1) -> list[Combination]:
    return [found for found in certificate.trials[trial].combinations if not found.stable]


def test_a_stable_model_is_certified_in_every_combination(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    found = quick(directory)
    assert (found.verdict, found.reason) == ("bit-stable", None)
    (trial,) = found.trials
    ways = {(each.size, each.order, each.route, each.threads) for each in trial.combinations}
    assert len(ways) == len(trial.combinations) == 6 * 3 * 3 * 2
    assert all(each.rows >= 3 * each.threads * each.size for each in trial.combinations)
    assert found.model.sha256 == read_model(directory).sha256


def test_a_kind_that_depends_on_the_batch_size_is_run_one_row_at_a_time(
    planted: Planted, quick: Certify
) -> None:
    directory = planted("by-size")
    with pytest.raises(ModelError, match="in batches of 50"):
        # The one golden row is repeated up to the batch size, so that loading alone sees this one.
        Predictor.load(directory)
    found = quick(directory)
    assert found.verdict == "row-by-row"
    assert [trial.execution for trial in found.trials] == ["any", "one"]
    assert {each.size for each in failing(found, 0)} == {50, 51, 64}
    assert {each.max_ulps for each in failing(found, 0)} == {1}
    assert found.reason == (
        "with rows scored together 54 of 108 combinations differ, all in batches of 50, 51 and 64;"
        " at worst 384 of 384 scores by up to 1 ulp"
    )
    model = Predictor.load(directory).model
    assert model.declaration.execution.rows == "one"
    assert found.model.sha256 == model.sha256


def test_a_kind_that_depends_on_the_order_is_refused(planted: Planted, quick: Certify) -> None:
    directory = planted("by-order")
    before = (directory / "model.json").read_bytes()
    found = quick(directory)
    assert found.verdict == "refused"
    assert {each.order for each in failing(found)} >= {"shuffled", "reversed"}
    assert max(each.max_ulps for each in failing(found)) == 2
    assert (directory / "model.json").read_bytes() == before
    assert f"{found.reason}".startswith("even one row at a time ")


def test_a_kind_that_depends_on_the_thread_is_refused_and_flipped_decisions_are_counted(
    planted: Planted, quick: Certify
) -> None:
    found = quick(planted("by-thread"))
    assert found.verdict == "refused"
    assert {each.threads for each in failing(found)} == {2}
    assert all(each.flipped == each.different == each.rows for each in failing(found))
    assert ", all on 2 threads; at worst 384 of 384 scores by up to " in f"{found.reason}"
    assert f"{found.reason}".endswith(", 384 decisions flipped")


def test_a_kind_whose_threads_share_their_work_is_refused(planted: Planted, quick: Certify) -> None:
    found = quick(planted("shared"))
    assert found.verdict == "refused"
    assert {each.threads for each in failing(found)} == {2}


def test_rows_that_get_no_score_in_a_combination_are_counted(planted: Planted, quick: Certify) -> None:
    found = quick(planted("failing"))
    assert found.verdict == "refused"
    assert all(each.rejected == each.rows for each in failing(found))
    assert f"{found.reason}".endswith("at worst 384 of 384 rows get no score")


def test_a_kind_that_calls_itself_unstable_is_not_tried_with_rows_together(
    planted: Planted, quick: Certify
) -> None:
    directory = planted("says-so")
    found = quick(directory)
    assert (found.verdict, found.reason) == ("row-by-row", "the kind adds in an order of its own")
    assert [trial.execution for trial in found.trials] == ["one"]
    Predictor.load(directory)


def test_a_model_that_declares_one_row_at_a_time_keeps_that(tmp_path: Path, quick: Certify) -> None:
    directory = change_model(threshold_model(tmp_path / "m"), execution={"rows": "one"})
    found = quick(directory)
    assert (found.verdict, found.reason) == (
        "row-by-row",
        "the model declared that its rows are scored one at a time",
    )
    assert json.loads((directory / "model.json").read_bytes())["execution"] == {"rows": "one"}


def test_certifying_twice_changes_the_model_once(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    first = quick(directory)
    text = (directory / "model.json").read_bytes()
    own = json.loads(text)
    second = quick(directory)
    assert (directory / "model.json").read_bytes() == text
    assert first.model == second.model
    assert (first.verdict, len(own["golden"])) == ("bit-stable", 20)
    assert [row["event"]["customer_id"] for row in own["golden"][:2]] == [1, "b"]


def test_a_model_file_that_says_it_all_keeps_its_very_bytes(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    quick(directory)
    path = directory / "model.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=7))
    before = path.read_bytes()
    quick(directory)
    assert path.read_bytes() == before


def test_golden_rows_hold_the_exact_scores_and_no_customer(tmp_path: Path, quick: Certify) -> None:
    directory = threshold_model(tmp_path / "m")
    rows = [{"customer_id": 900_000 + number, "feature": number / 7} for number in range(50)]
    found = quick(directory, sample=write_rows(tmp_path, "csv", rows))
    golden = json.loads((directory / "model.json").read_bytes())["golden"]
    assert (found.model.golden, found.sample.source) == (20, "rows.csv")
    assert all(row["score"] == row["event"]["feature"] for row in golden)
    assert max(row["event"]["customer_id"] for row in golden) < 900_000


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_sample_is_the_same_in_every_format_and_its_bad_rows_are_left_out(
    form: str, tmp_path: Path, quick: Certify
) -> None:
    good = [
        {"customer_id": 1, "tenure": number, "charges": 0.1 * number, "partner": True, "contract": "yearly"}
        for number in range(30)
    ]
    bad: list[dict[str, Any]] = [{**good[0], "tenure": -1}, {**good[0], "contract": "none such"}]
    found = quick(linear_model(tmp_path / "m"), sample=write_rows(tmp_path, form, [*good[:9], *bad, *good]))
    assert found.sample.left_out == {"out_of_range": 1, "unknown_category": 1}
    assert (found.sample.rows, found.sample.golden) == (41, 2)
    only_good = quick(linear_model(tmp_path / "n"), sample=write_rows(tmp_path, "ndjson", good[:9] + good))
    assert found.sample.sha256 == only_good.sample.sha256


def test_only_the_first_rows_of_a_sample_are_read(tmp_path: Path, quick: Certify) -> None:
    rows = [{"customer_id": 1, "feature": number} for number in range(50)]
    for form in ("csv", "ndjson", "parquet"):
        found = quick(threshold_model(tmp_path / form), rows=7, sample=write_rows(tmp_path, form, rows))
        assert found.sample.rows == 8  # with the golden one


def test_a_sample_without_a_valid_row_says_why(tmp_path: Path, quick: Certify) -> None:
    path = write_rows(tmp_path, "ndjson", [{"customer_id": 1, "feature": "high"}])
    with pytest.raises(InputError, match="no row is valid for threshold@1; for example: feature is 'high'"):
        quick(threshold_model(tmp_path / "m"), sample=path)


def test_a_golden_row_with_another_score_is_refused_unless_it_is_to_be_renewed(
    tmp_path: Path, quick: Certify
) -> None:
    directory = threshold_model(tmp_path / "m")
    golden = [{"event": {"customer_id": 1, "feature": 0.5}, "score": 0.25}]
    change_model(directory, golden=golden)
    with pytest.raises(ModelError, match=r"golden row 0 scores 0.5, not 0.25") as refused:
        quick(directory)
    assert "--renew-golden" in f"{refused.value.hint}"
    quick(directory, renew_golden=True)
    assert json.loads((directory / "model.json").read_bytes())["golden"][0]["score"] == 0.5
    Predictor.load(directory)


def test_a_golden_row_that_is_rejected_is_refused(tmp_path: Path, quick: Certify) -> None:
    directory = change_model(threshold_model(tmp_path / "m"), golden=[{"event": {}, "score": 1}])
    with pytest.raises(ModelError, match="golden row 0 is rejected: customer_id is missing"):
        quick(directory, renew_golden=True)


def test_a_model_that_is_changed_meanwhile_is_not_overwritten(
    tmp_path: Path, quick: Certify, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = threshold_model(tmp_path / "m")

    def change_and_choose(*given: Any) -> Any:
        change_model(directory, threshold=0.9)
        return choose_golden(*given)

    monkeypatch.setattr(module, "choose_golden", change_and_choose)
    with pytest.raises(InputError, match="was changed while it was certified"):
        quick(directory)
    assert json.loads((directory / "model.json").read_bytes())["threshold"] == 0.9
    assert not (directory / "certificate.json").exists()


def test_a_directory_that_cannot_be_written_to_is_refused_before_the_work(
    tmp_path: Path, quick: Certify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="cannot be written there"):
        quick(threshold_model(tmp_path / "m"))


@pytest.mark.usefixtures("quick")
def test_the_command_prints_the_verdict_and_ends_with_its_exit_code(
    tmp_path: Path, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = threshold_model(tmp_path / "m")
    done = command("batch", "model", "certify", directory, "--rows", "100")
    assert (done.code, done.output.splitlines()[0]) == (ExitCode.DONE, "threshold@1 is bit-stable")
    assert f"golden rows  20 in {directory / 'model.json'}\n" in done.output
    assert module.main([str(planted("by-thread")), "--json"]) == ExitCode.ANSWER_IS_NO
    assert json.loads(capsys.readouterr().out)["verdict"] == "refused"
