"""show, validate and list say what a model is, and of one that does not load, why not."""

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from batch.model import command as model_command
from shared.command import run
from shared.errors import ExitCode
from shared.models.certificate import Certificate
from tests.support import graphs, trained
from tests.support.models import change_model, linear_model, threshold_model

Certify = Callable[..., Certificate]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a subcommand of `python -m batch model`: exit status, output, errors."""
    monkeypatch.setenv("COLUMNS", "120")

    def done(*arguments: object) -> tuple[int, str, str]:
        status = run(model_command.main, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return done


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def wrong_hash(directory: Path) -> Path:
    with (linear_model(directory) / "coefficients.json").open("ab") as artifact:
        artifact.write(b" ")
    return directory


def missing_file(directory: Path) -> Path:
    (linear_model(directory) / "coefficients.json").unlink()
    return directory


def unknown_kind(directory: Path) -> Path:
    return change_model(threshold_model(directory), kind="oracle")


def other_feature_count(directory: Path) -> Path:
    trained.xgboost_model(directory)
    return change_model(directory, inputs=list(trained.INPUTS[:3]))


def repeated_category(directory: Path) -> Path:
    inputs = [{"name": "contract", "type": "category", "values": ["A", "A"]}]
    return change_model(threshold_model(directory), inputs=inputs)


def other_golden_score(directory: Path) -> Path:
    golden = [{"event": {"customer_id": 1, "feature": 0.5}, "score": 0.25}]
    return change_model(threshold_model(directory), golden=golden)


def a_graph(directory: Path, node: onnx.NodeProto, output: onnx.ValueInfoProto) -> Path:
    content = graphs.graph([node], [graphs.tensor("feature", TensorProto.FLOAT, None, 1)], [output])
    return with_artifact(directory, "onnx", "model.onnx", content)


def with_artifact(directory: Path, kind: str, file: str, content: bytes) -> Path:
    threshold_model(directory)
    (directory / file).write_bytes(content)
    artifact = {"file": file, "sha256": hashlib.sha256(content).hexdigest()}
    return change_model(directory, kind=kind, artifact=artifact)


def unknown_operator(directory: Path) -> Path:
    node = helper.make_node("NoSuchOperator", ["feature"], ["score"])
    return a_graph(directory, node, graphs.tensor("score", TensorProto.FLOAT, None, 1))


def sequence_of_maps(directory: Path) -> Path:
    node = helper.make_node("ZipMap", ["feature"], ["scores"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    number = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    several = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, number))
    return a_graph(directory, node, helper.make_value_info("scores", several))


def planted_pickle(directory: Path) -> Path:
    content = pickle.dumps(Touch(str(directory.parent / "ran")))
    return with_artifact(directory, "xgboost", "model.ubj", content)


def pickle_by_name(directory: Path) -> Path:
    content = pickle.dumps(Touch(str(directory.parent / "ran")))
    return with_artifact(directory, "lightgbm", "model.pkl", content)


BROKEN: list[tuple[Callable[[Path], Path], str, str]] = [
    (wrong_hash, "coefficients.json has the sha256", "restore it"),
    (missing_file, "coefficients.json cannot be read: No such file or directory", ""),
    (unknown_kind, "kind 'oracle' is unknown", "Known kinds: threshold, linear,"),
    (other_feature_count, "7", ""),
    (repeated_category, "inputs.0: input 'contract' repeats the category 'A'", "Correct the declaration."),
    (other_golden_score, "golden row 0 scores 0.5 in batches of 1, not 0.25", "is not what it was certified"),
    (unknown_operator, "has the unknown operator NoSuchOperator", "Export the model with the operators of"),
    (
        sequence_of_maps,
        "artifact: output 'scores' is a seq(map(int64,tensor(float))), not a tensor",
        "zipmap",
    ),
    (planted_pickle, "artifact: it is neither XGBoost's UBJ nor its JSON", "save_model"),
    (pickle_by_name, "model.pkl is a pickle, which can run any code when it is loaded", "own format"),
]


@pytest.mark.parametrize(("make", "said", "advice"), BROKEN, ids=[make.__name__ for make, _, _ in BROKEN])
def test_a_broken_model_is_refused_with_the_field_and_the_way_out(
    make: Callable[[Path], Path], said: str, advice: str, tmp_path: Path, call: Call
) -> None:
    directory = make(tmp_path / "m")
    status, out, errors = call("validate", directory)
    assert (status, out) == (ExitCode.UNREADABLE, "")
    assert errors.startswith("error: ")
    assert said in errors
    assert advice in errors
    assert "Traceback" not in errors
    for command in ("certify", "show"):
        # Showing scores nothing, so that it shows a model whose golden rows do not match.
        wanted = ExitCode.DONE if (command, make) == ("show", other_golden_score) else ExitCode.UNREADABLE
        assert call(command, directory)[0] == wanted
    status, out, errors = call("list", tmp_path)
    assert (status, errors) == (ExitCode.DONE, "")
    assert f"{directory}: broken: " in out
    assert said in out
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("command", ["certify", "show", "validate"])
def test_a_pickle_in_place_of_the_directory_is_never_loaded(command: str, tmp_path: Path, call: Call) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Touch(str(tmp_path / "ran"))))
    status, _, errors = call(command, tmp_path / "model.pkl")
    assert status == ExitCode.UNREADABLE
    assert "Pickles are never loaded" in errors
    assert not (tmp_path / "ran").exists()


def test_show_says_what_a_model_takes_and_gives(tmp_path: Path, call: Call) -> None:
    directory = trained.xgboost_model(tmp_path / "m", description="Who leaves.", provenance={"run": "r-7"})
    status, out, _ = call("show", directory)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert status == ExitCode.DONE
    assert lines[:2] == ["xgboost@1", "Who leaves."]
    for line in (
        "kind xgboost",
        "artifact booster.ubj",
        "key customer_id (integer or string)",
        "outputs score, and churn: whether it is above 0.5",
        "is run with any number of rows together",
        "golden rows 3",
        "certificate none: the model is not certified",
        "run r-7",
        "tenure integer 0 to 1200 rejected",
        "charges number any the model is told",
        "contract category monthly, yearly, é the model is told",
        "payment category card, bank, check rejected one-hot",
    ):
        assert line in lines


def test_show_tells_defaults_and_open_bounds(tmp_path: Path, call: Call) -> None:
    inputs = [{"name": "feature", "type": "number", "minimum": 0, "default": 2, "description": "hours"}]
    _, out, _ = call("show", change_model(threshold_model(tmp_path / "m"), inputs=inputs, strict=True))
    assert "feature  number  0 or more  becomes 2.0   hours" in out
    assert "other fields  reject the row" in out
    inputs[0] |= {"minimum": None, "maximum": 9.5}
    _, out, _ = call("show", change_model(tmp_path / "m", inputs=inputs))
    assert "9.5 or less" in out


def test_show_as_json_can_be_read_by_a_program(tmp_path: Path, call: Call) -> None:
    directory = linear_model(tmp_path / "m")
    shown = json.loads(call("show", directory, "--json")[1])
    assert (shown["id"], shown["kind"], shown["golden"]) == ("linear@2", "linear", 2)
    assert shown["inputs"][3]["values"] == ["monthly", "yearly", "é"]
    assert shown["certificate"]["state"] == "none"


def test_validate_asks_for_a_certificate_only_when_told_to(
    tmp_path: Path, call: Call, quick: Certify
) -> None:
    directory = linear_model(tmp_path / "m")
    status, out, _ = call("validate", directory)
    assert (status, out.splitlines()[0]) == (
        ExitCode.DONE,
        "linear@2 is valid: it loads and 2 golden rows score to the bit.",
    )
    assert f"Certify it: python -m batch model certify {directory}" in out
    status, _, errors = call("validate", directory, "--certified")
    assert (status, "linear@2: the model is not certified" in errors) == (ExitCode.ANSWER_IS_NO, True)
    quick(directory)
    status, out, _ = call("validate", directory, "--certified")
    assert status == ExitCode.DONE
    assert "Certificate: bit-stable, of " in out


@pytest.mark.parametrize("state", ["stale", "damaged"])
def test_validate_refuses_a_certificate_that_does_not_hold(
    state: str, tmp_path: Path, call: Call, quick: Certify
) -> None:
    directory = linear_model(tmp_path / "m")
    quick(directory)
    if state == "stale":
        change_model(directory, threshold=0.25)
    else:
        (directory / "certificate.json").write_text("{}")
    status, _, errors = call("validate", directory)
    assert status == ExitCode.ANSWER_IS_NO
    assert "Certify it anew" in errors
    assert state in call("show", directory)[1]
    assert state in call("list", tmp_path)[1]


def test_list_has_a_line_for_each_model(tmp_path: Path, call: Call) -> None:
    linear_model(tmp_path / "a")
    threshold_model(tmp_path / "b")
    unknown_kind(tmp_path / "c")
    (tmp_path / "no-model").mkdir()
    (tmp_path / "file").touch()
    status, out, _ = call("list", tmp_path)
    lines = [line.split() for line in out.splitlines()]
    assert (status, len(lines)) == (ExitCode.DONE, 4)
    assert lines[1][:4] == [str(tmp_path / "a"), "linear@2", "linear", "4"]
    assert lines[3][:2] == [f"{tmp_path / 'c'}:", "broken:"]
    listed = json.loads(call("list", tmp_path, "--json")[1])
    assert [line["id"] for line in listed] == ["linear@2", "threshold@1", None]
    assert "kind 'oracle' is unknown" in listed[2]["problem"]


def test_list_of_a_model_s_own_directory_and_of_no_models(tmp_path: Path, call: Call) -> None:
    directory = threshold_model(tmp_path / "b")
    assert "threshold@1" in call("list", directory)[1]
    (tmp_path / "empty").mkdir()
    assert call("list", tmp_path / "empty")[1].startswith("There is no model in ")
    status, _, errors = call("list", tmp_path / "none")
    assert (status, "cannot be read" in errors) == (ExitCode.UNREADABLE, True)
