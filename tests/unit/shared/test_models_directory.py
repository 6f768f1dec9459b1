"""A model directory that is not what it says is refused with a sentence, and nothing in it is ever run."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from shared.command import run
from shared.errors import ExitCode, ModelError
from shared.models.directory import KINDS, RESERVED_OUTPUTS, digest, read_model
from shared.predict import Predictor
from tests.support.models import INPUTS, WEIGHTS, change_model, linear_model, threshold_model

CUSTOMER = {"name": "customer_id", "type": "integer"}
FEATURE = {"name": "feature", "type": "number"}


def refusal(directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a user reads when a command loads the directory, after checking how the command ends."""

    def command(_arguments: object) -> int:
        Predictor.load(directory)
        return 0

    assert run(command, []) == ExitCode.UNREADABLE
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err + captured.out
    return captured.err


def test_a_sound_directory_loads(tmp_path: Path) -> None:
    model = Predictor.load(linear_model(tmp_path / "m")).model
    assert (model.id, model.threshold, model.decision_name) == ("linear@2", 0.5, "decision")
    assert len(model.short_sha256) == 12
    assert model.sha256.startswith(model.short_sha256)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(tmp_path / "none", capsys)
    assert f"{tmp_path / 'none'}: no model.json found there" in said
    assert "A model is a directory with a model.json; see docs/models.md." in said


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "MODEL.PKL", "model.bin"])
def test_a_file_in_place_of_the_directory_is_refused_and_no_pickle_is_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / name).write_bytes(pickle.dumps(Touch(str(marker))))
    said = refusal(tmp_path / name, capsys)
    assert "Give the model's directory, not a file. Pickles are never loaded: they can run any code." in said
    assert not marker.exists()


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_the_planted_pickle_would_run_if_it_were_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(Touch(str(marker))))  # noqa: S301 - the test's own bytes
    assert marker.exists()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("model.pkl", "is a pickle, which can run any code when it is loaded"),
        ("model.JOBLIB", "is a pickle, which can run any code when it is loaded"),
        ("coefficients.json", "the coefficients are damaged at the file: Invalid JSON"),
    ],
)
def test_a_pickle_as_the_artifact_is_refused_and_never_run(
    file: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "ran"
    directory = linear_model(tmp_path / "m")
    content = pickle.dumps(Touch(str(marker)))
    (directory / file).write_bytes(content)
    change_model(directory, artifact={"file": file, "sha256": sha256(content)})
    assert said in refusal(directory, capsys)
    assert not marker.exists()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_changed_artifact_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = linear_model(tmp_path / "m")
    with (directory / "coefficients.json").open("ab") as artifact:
        artifact.write(b" ")
    said = refusal(directory, capsys)
    assert "coefficients.json has the sha256" in said
    assert "The file was changed or damaged: restore it, or declare it as a new version." in said


def test_a_missing_artifact_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = linear_model(tmp_path / "m")
    (directory / "coefficients.json").unlink()
    assert "coefficients.json cannot be read: No such file or directory" in refusal(directory, capsys)


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "a\x00b", "a\nb"])
def test_an_artifact_stands_inside_the_directory(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = change_model(linear_model(tmp_path / "m"), artifact={"file": file, "sha256": "0" * 64})
    said = refusal(directory, capsys)
    assert "artifact.file: must be the name of a file inside the model directory, not a path" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "oracle"}, f"kind 'oracle' is unknown\nKnown kinds: {', '.join(KINDS)}."),
        ({"treshold": 0.5}, "treshold: Extra inputs are not permitted"),
        ({"threshold": "high"}, "threshold: Input should be a valid number"),
        ({"threshold": "0.5"}, "threshold: Input should be a valid number"),
        ({"threshold": True}, "threshold: Input should be a valid number"),
        ({"threshold": float("nan")}, "threshold: Input should be a finite number"),
        ({"name": "a name"}, "name: String should match pattern"),
        ({"name": "x" * 101}, "name: String should have at most 100 characters"),
        ({"golden": []}, "golden: Tuple should have at least 1 item"),
        ({"inputs": []}, "inputs: Tuple should have at least 1 item"),
        ({"inputs": [FEATURE, FEATURE]}, "input 'feature' is declared twice"),
        (
            {"inputs": [{**FEATURE, "maximum": 1, "default": 2}]},
            "inputs.0: input 'feature' has the default 2",
        ),
        ({"inputs": [{"name": "c", "type": "category", "values": ["A", "A"]}]}, "repeats the category 'A'"),
        ({"artifact": {"file": "x", "sha256": "0" * 64}}, "artifact: a threshold model has none"),
        ({"outputs": {"decision": "two words"}}, "outputs.decision: String should match pattern"),
        ({"inputs": [CUSTOMER, FEATURE, {**FEATURE, "name": "b"}]}, "not feature (number), b (number)"),
        ({"inputs": [CUSTOMER, {"name": "s", "type": "string"}]}, "one numeric input, not s (string)"),
        (
            {"inputs": [{"name": "feature", "type": "number", "maximum": 0}]},
            "golden row 0 is rejected: feature",
        ),
        ({"golden": [{"event": {}, "score": 1}]}, "golden row 0 is rejected: customer_id is missing or null"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_a_wrong_declaration_is_refused_with_the_field_at_fault(
    changes: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(change_model(threshold_model(tmp_path / "m"), **changes), capsys)


@pytest.mark.parametrize("name", sorted(RESERVED_OUTPUTS))
def test_the_decision_takes_no_other_field_s_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = change_model(threshold_model(tmp_path / "m"), outputs={"decision": name})
    said = refusal(directory, capsys)
    assert f"outputs: '{name}' is a field of every prediction; choose another name" in said


@pytest.mark.parametrize("content", [b"", b"{", b'{"name": "x"', b"\xff\xfe{}", b"[]", b"\x80\x04pickle"])
def test_a_damaged_declaration_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = threshold_model(tmp_path / "m")
    (directory / "model.json").write_bytes(content)
    said = refusal(directory, capsys)
    assert f"{directory / 'model.json'}: " in said
    assert "Correct the declaration." in said


def test_a_declaration_that_cannot_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m" / "model.json").mkdir(parents=True)
    assert "model.json: cannot be read: Is a directory" in refusal(tmp_path / "m", capsys)


def test_a_golden_row_with_another_score_is_refused_to_the_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = linear_model(tmp_path / "m")
    golden = json.loads((directory / "model.json").read_bytes())["golden"]
    exact = golden[1]["score"]
    golden[1]["score"] = exact * (1 + 2**-52)
    said = refusal(change_model(directory, golden=golden), capsys)
    assert f"linear@2: golden row 1 scores {exact!r} in batches of" in said
    assert f"not {golden[1]['score']!r}" in said


def weights(**changes: Any) -> dict[str, Any]:
    return {"link": "logistic", "intercept": 0, "weights": WEIGHTS | changes}


@pytest.mark.parametrize(
    ("coefficients", "said"),
    [
        (weights(extra=1), "input 'extra' has a weight but is not declared"),
        ({**weights(), "weights": {"tenure": 1}}, "input 'charges' has no weight"),
        (weights(contract={"monthly": 1}), "input 'contract' needs one weight for each of its categories"),
        (weights(contract=1), "input 'contract' needs one weight for each of its categories"),
        (weights(tenure={"a": 1}), "input 'tenure' is no category and needs one number as its weight"),
        (weights(tenure=float("inf")), "damaged at weights.tenure: Input should be a finite number"),
        (weights(tenure="0.5"), "damaged at weights.tenure: Input should be a valid number"),
        (weights(contract={"monthly": "x"}), "damaged at weights.contract.monthly: Input should be a valid"),
        ({**weights(), "link": "probit"}, "damaged at link: Input should be 'logistic' or 'identity'"),
        ({"link": "logistic", "weights": WEIGHTS}, "the coefficients are damaged at intercept"),
        ([], "the coefficients are damaged at the file"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_coefficients_that_do_not_fit_are_refused(
    coefficients: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = linear_model(tmp_path / "m")
    content = json.dumps(coefficients).encode()
    (directory / "coefficients.json").write_bytes(content)
    change_model(directory, artifact={"file": "coefficients.json", "sha256": sha256(content)})
    assert said in refusal(directory, capsys)


def test_a_linear_model_weighs_no_strings(tmp_path: Path) -> None:
    inputs = [*INPUTS, {"name": "note", "type": "string"}]
    with pytest.raises(ModelError) as caught:
        linear_model(tmp_path / "m", inputs=inputs, weights=WEIGHTS | {"note": 1.0})
    assert "input 'note' is a string, which a linear model cannot weigh" in str(caught.value)
    assert "Declare it as a category with its values." in str(caught.value)


def test_a_linear_model_weighs_nothing_that_is_missing(tmp_path: Path) -> None:
    inputs = [*INPUTS[:-1], {**INPUTS[-1], "missing": "nan"}]
    with pytest.raises(ModelError, match="input 'contract' may be missing, and a linear model has no weight"):
        linear_model(tmp_path / "m", inputs=inputs)


def test_a_linear_model_needs_its_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = change_model(linear_model(tmp_path / "m"), artifact=None)
    assert "artifact: a linear model needs one" in refusal(directory, capsys)


def test_the_declaration_is_no_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = linear_model(tmp_path / "m")
    change_model(directory, artifact={"file": "model.json", "sha256": "0" * 64})
    assert "artifact.file: cannot be the declaration itself; rename" in refusal(directory, capsys)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "3"},
        {"threshold": 0.25},
        {"strict": True},
        {"outputs": {"decision": "churn"}},
        {"inputs": [*INPUTS[:-1], {**INPUTS[-1], "values": ["yearly", "monthly", "é"]}]},
        {"artifact": {"file": "coefficients.json", "sha256": "0" * 64}},
        {"execution": {"rows": "one"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_model_s_hash_tells_of_all_that_a_prediction_depends_on(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    declaration = read_model(linear_model(tmp_path / "m")).declaration
    content = json.dumps(declaration.model_dump() | changes)
    changed = declaration.model_validate_json(content)
    assert digest(changed) != digest(declaration)


def test_the_model_s_hash_leaves_out_what_a_prediction_does_not_depend_on(tmp_path: Path) -> None:
    first = read_model(linear_model(tmp_path / "a"))
    second = read_model(change_model(linear_model(tmp_path / "b"), description="for people"))
    from_where = {"data": "somewhere", "library": "1.0"}
    fourth = read_model(change_model(linear_model(tmp_path / "d"), provenance=from_where))
    assert fourth.sha256 == first.sha256
    third = read_model(change_model(linear_model(tmp_path / "c"), golden=[{"event": {}, "score": 1}]))
    assert first.sha256 == second.sha256 == third.sha256
