"""XGBoost's and LightGBM's models score as their libraries do, and what does not fit is refused at load."""

import contextlib
import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from shared.errors import ModelError
from shared.models.directory import KINDS
from shared.models.features import FeatureMatrix
from shared.predict import Predictor
from shared.schema import Reason
from tests.support.models import change_model
from tests.support.trained import (
    INPUTS,
    Training,
    lightgbm_model,
    made_up,
    onnx_model,
    train_lightgbm,
    train_xgboost,
    xgboost_model,
)

TRAINING = made_up(count=300)
MAKERS: dict[str, Callable[..., Path]] = {
    "xgboost": xgboost_model,
    "lightgbm": lightgbm_model,
    "onnx": onnx_model,
}
every_kind = pytest.mark.parametrize("kind", MAKERS)


def refusal(directory: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Predictor.load(directory)
    return str(caught.value)


def artifact_of(directory: Path) -> Path:
    return directory / str(json.loads((directory / "model.json").read_bytes())["artifact"]["file"])


def replace_artifact(directory: Path, content: bytes) -> Path:
    """Damage that the hash does not show, as in a file that was damaged before it was imported."""
    path = artifact_of(directory)
    path.write_bytes(content)
    artifact = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    return change_model(directory, artifact=artifact)


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_xgboost_scores_as_the_library_does(tmp_path: Path, form: str) -> None:
    booster = train_xgboost(TRAINING)
    scorer = Predictor.load(xgboost_model(tmp_path, TRAINING, booster=booster, form=form)).model.scorer
    data = xgboost.DMatrix(FeatureMatrix(TRAINING.schema, np.float32).build(TRAINING.frame))
    assert (
        scorer.raw(TRAINING.frame) == booster.predict(data, output_margin=True, validate_features=False)
    ).all()
    assert np.allclose(
        scorer.score(TRAINING.frame), booster.predict(data, validate_features=False), atol=1e-7
    )


@pytest.mark.parametrize(
    "settings", [{}, {"sigmoid": 0.7}, {"objective": "regression"}, {"boosting": "dart"}, {"objective": "l1"}]
)
def test_lightgbm_scores_as_the_library_does(tmp_path: Path, settings: dict[str, Any]) -> None:
    booster = train_lightgbm(TRAINING, **settings)
    scorer = Predictor.load(lightgbm_model(tmp_path, TRAINING, booster=booster)).model.scorer
    matrix = FeatureMatrix(TRAINING.schema, np.float64).build(TRAINING.frame)
    assert (scorer.raw(TRAINING.frame) == booster.predict(matrix, raw_score=True)).all()
    assert np.allclose(scorer.score(TRAINING.frame), booster.predict(matrix), rtol=1e-14, atol=0)


@every_kind
def test_another_number_of_columns_than_the_model_has_is_refused(tmp_path: Path, kind: str) -> None:
    directory = MAKERS[kind](tmp_path, TRAINING)
    said = refusal(change_model(directory, inputs=list(INPUTS[:4])))
    assert "inputs: they make 4 columns, but the model was trained on 7" in said
    assert "Declare what it was trained on, in its order" in said
    if kind != "onnx":  # which knows no names
        assert "tenure, charges, partner, contract, payment=card" in said


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_another_order_of_inputs_than_the_models_is_refused(tmp_path: Path, kind: str) -> None:
    directory = MAKERS[kind](tmp_path, TRAINING)
    inputs = [INPUTS[1], INPUTS[0], *INPUTS[2:]]
    said = refusal(change_model(directory, inputs=inputs))
    assert "inputs: column 0 is 'charges', but the model was trained on 'tenure' there" in said


@every_kind
def test_repeated_categories_are_refused(tmp_path: Path, kind: str) -> None:
    directory = MAKERS[kind](tmp_path, TRAINING)
    inputs = [*INPUTS[:4], {**INPUTS[4], "values": ["card", "bank", "card"]}]
    assert "input 'payment' repeats the category 'card'" in refusal(change_model(directory, inputs=inputs))


@every_kind
def test_golden_rows_that_score_otherwise_are_refused(tmp_path: Path, kind: str) -> None:
    directory = MAKERS[kind](tmp_path, TRAINING)
    golden = json.loads((directory / "model.json").read_bytes())["golden"]
    golden[1]["score"] = float(np.nextafter(golden[1]["score"], 1))
    assert "golden row 1 scores" in refusal(change_model(directory, golden=golden))


@every_kind
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    directory = MAKERS[kind](tmp_path, TRAINING)
    content = artifact_of(directory).read_bytes()
    # LightGBM's file ends with settings of its training, of which the last lines may be missing.
    end = content.index(b"end of parameters") if kind == "lightgbm" else len(content)
    for length in [0, 1, *range(7, end, end // 40), end - 1]:
        said = refusal(replace_artifact(directory, content[:length]))
        assert "artifact" in said, said


@every_kind
def test_damaged_bytes_are_refused_or_score_but_never_crash(tmp_path: Path, kind: str) -> None:
    """Every artifact here would have ended the process, were it not looked at before its library reads it."""
    directory = MAKERS[kind](tmp_path, TRAINING)
    content, random = artifact_of(directory).read_bytes(), np.random.default_rng(3)
    frame, schema = TRAINING.frame, TRAINING.schema
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        to, source = random.integers(0, len(content), 2)
        damaged[to : to + 16] = content[source : source + 16]
        try:
            KINDS[kind].load(schema, bytes(damaged)).score(frame)
        except ModelError:
            refused += 1
    assert refused > 10


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@every_kind
def test_a_pickle_planted_anywhere_is_never_run(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "ran"
    directory = MAKERS[kind](tmp_path / "model", TRAINING)
    sound = artifact_of(directory).read_bytes()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        planted = pickle.dumps(Planted(mark), protocol)
        places = [planted, sound + planted, planted + sound, sound[:40] + planted + sound[40:]]
        for content in places:
            replace_artifact(directory, content)
            for file in ("certificate.json", "model.pkl", "__init__.py", "conftest.py"):
                (directory / file).write_bytes(planted)
            # LightGBM's text lets pass, unread, what it does not know.
            with contextlib.suppress(ModelError):
                Predictor.load(directory)
    for name in ("model.pkl", "model.joblib"):
        said = refusal(change_model(directory, artifact={"file": name, "sha256": "0" * 64}))
        assert "is a pickle" in said
    assert not mark.exists()
    pickle.loads(pickle.dumps(Planted(mark)))  # noqa: S301 - shows that the planted code works
    assert mark.exists()


@every_kind
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = MAKERS[kind](tmp_path, TRAINING)
    monkeypatch.setitem(sys.modules, kind, None)
    said = refusal(directory)
    assert f"a model of kind {kind} needs {kind}, which is not installed" in said
    assert f"pip install 'tandem-scorer[{kind}]'" in said


@pytest.mark.parametrize("kind", ["xgboost", "onnx"])
def test_a_number_beyond_float32_rejects_its_row_alone(tmp_path: Path, kind: str) -> None:
    predictor = Predictor.load(MAKERS[kind](tmp_path, TRAINING))
    rows = [{**row, "charges": 1e39} if place in (3, 7) else row for place, row in enumerate(TRAINING.rows)]
    outcome = predictor.score_json([json.dumps(row).encode() for row in rows])
    assert [(item.row, item.reason) for item in outcome.rejections] == [
        (3, Reason.MODEL_ERROR),
        (7, Reason.MODEL_ERROR),
    ]
    assert "charges is beyond float32" in outcome.rejections[0].detail
    keep = [place for place in range(len(rows)) if place not in (3, 7)]
    assert outcome.scores.tobytes() == predictor.score_frame(TRAINING.frame)[keep].tobytes()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objective": "multi:softprob", "num_class": 3}, "it has 3 outputs"),
        ({"objective": "reg:gamma"}, "its objective reg:gamma is not one of: binary:logistic"),
        ({"booster": "gblinear", "max_depth": None}, "it is a gblinear model"),
    ],
)
def test_xgboost_models_whose_score_is_no_known_function_of_a_margin_are_refused(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    labels = 1 + TRAINING.labels
    training = Training(INPUTS, TRAINING.rows, labels)
    settings = {"max_depth": 3, "seed": 1, "nthread": 1, "verbosity": 0, **settings}
    settings = {name: value for name, value in settings.items() if value is not None}
    matrix = np.nan_to_num(FeatureMatrix(training.schema, np.float32).build(training.frame))
    booster = xgboost.train(settings, xgboost.DMatrix(matrix, labels), 3)
    sound = xgboost_model(tmp_path, TRAINING)
    assert said in refusal(replace_artifact(sound, bytes(booster.save_raw("ubj"))))


def test_an_xgboost_model_that_stopped_early_must_say_which_trees_count(tmp_path: Path) -> None:
    booster = train_xgboost(TRAINING, rounds=9)
    booster.set_attr(best_iteration="4")
    sound = xgboost_model(tmp_path, TRAINING)
    said = refusal(replace_artifact(sound, bytes(booster.save_raw("ubj"))))
    assert "of its 9 rounds the first 5 are best" in said
    assert "save_model" in said
    Predictor.load(xgboost_model(tmp_path / "cut", TRAINING, booster=booster[:5]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objective": "multiclass", "num_class": 3}, "it has several outputs"),
        ({"objective": "poisson"}, "its objective 'poisson' is not one of: binary"),
        ({"objective": "regression", "reg_sqrt": True}, "its objective 'regression sqrt' is not one of"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "it is a random forest"),
        ({"linear_tree": True, "objective": "regression"}, "its leaves are linear models"),
    ],
)
def test_lightgbm_models_whose_score_is_no_known_function_of_a_sum_are_refused(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    booster = train_lightgbm(TRAINING, rounds=3, **settings)
    sound = lightgbm_model(tmp_path, TRAINING)
    assert said in refusal(replace_artifact(sound, booster.model_to_string().encode()))


def split_by_category() -> tuple[Training, xgboost.Booster, xgboost.DMatrix]:
    training = made_up(INPUTS[:4], count=300, effect=2)
    contracts = pa.array([row["contract"] for row in training.rows]).dictionary_encode()
    columns = FeatureMatrix(training.schema, np.float32).build(training.frame)[:, :3].T
    names = [item["name"] for item in INPUTS[:3]]
    table = pa.table({**dict(zip(names, map(pa.array, columns), strict=True)), "contract": contracts})
    data = xgboost.DMatrix(table, training.labels, enable_categorical=True, nthread=1)
    settings = {"objective": "binary:logistic", "max_cat_to_onehot": 1, "max_depth": 3, "nthread": 1}
    booster = xgboost.train(settings, data, 10)
    trained_on = contracts.dictionary.to_pylist()
    inputs = [*INPUTS[:3], {**INPUTS[3], "values": trained_on}]
    return Training(inputs, training.rows, training.labels), booster, data


def test_xgboosts_own_categories_must_be_declared_with_the_same_values(tmp_path: Path) -> None:
    declared, booster, data = split_by_category()
    inputs, trained_on = declared.inputs, list(declared.inputs[3]["values"])
    scorer = Predictor.load(xgboost_model(tmp_path, declared, booster=booster)).model.scorer
    assert (scorer.raw(declared.frame) == booster.predict(data, output_margin=True)).all()
    for wrong in ({"values": trained_on[::-1]}, {"values": [*trained_on, "weekly"]}):
        said = refusal(change_model(tmp_path, inputs=[*inputs[:3], {**inputs[3], **wrong}]))
        assert "input 'contract' has other values, or in another order" in said
        assert json.dumps(trained_on, ensure_ascii=False) in said
    number = {"name": "contract", "type": "number"}
    assert "is split by category in the model" in refusal(
        change_model(tmp_path, inputs=[*INPUTS[:3], number])
    )


def test_lightgbms_own_categories_must_be_declared_with_the_same_values(tmp_path: Path) -> None:
    booster = train_lightgbm(TRAINING, categorical=["contract"])
    # As LightGBM writes what it learnt from a pandas data frame.
    booster.pandas_categorical = [["monthly", "yearly", "é"]]
    directory = lightgbm_model(tmp_path, TRAINING, booster=booster)
    Predictor.load(directory)
    wrong = [*INPUTS[:3], {**INPUTS[3], "values": ["yearly", "monthly", "é"]}, INPUTS[4]]
    said = refusal(change_model(directory, inputs=wrong))
    assert 'Declare it with the values ["monthly", "yearly", "é"]' in said
    number = [*INPUTS[:3], {"name": "contract", "type": "number"}, INPUTS[4]]
    assert "is split by category in the model" in refusal(change_model(directory, inputs=number))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        # LightGBM reads 22 lines of a tree: it would split by the first of the two.
        (b"split_feature=99999 1\n" + b"".join(b"pad_%s=1\n" % bytes([97 + n]) for n in range(22)), ""),
        (b"split_feature=99999 1\n", "tree 0 repeats the field split_feature"),
        (b"padding=1\n", "tree 0 has the unknown field padding"),
    ],
)
def test_lightgbm_trees_with_a_field_twice_or_unknown_are_refused(
    tmp_path: Path, lines: bytes, said: str
) -> None:
    directory = lightgbm_model(tmp_path, TRAINING)
    content = artifact_of(directory).read_bytes()
    size = content.split(b"tree_sizes=")[1].split()[0]
    content = content.replace(b"tree_sizes=" + size, b"tree_sizes=%d" % (int(size) + len(lines)), 1)
    content = content.replace(b"split_feature=", lines + b"split_feature=", 1)
    found = refusal(replace_artifact(directory, content))
    assert "it is not a whole LightGBM model" in found
    assert said in found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"max_feature_idx=6\n", "its header repeats the field max_feature_idx"),
        (b"odd=1\rmax_feature_idx=99\n", "its header has a line that ends otherwise"),
    ],
)
def test_lightgbm_headers_that_can_be_read_two_ways_are_refused(
    tmp_path: Path, line: bytes, said: str
) -> None:
    directory = lightgbm_model(tmp_path, TRAINING)
    content = artifact_of(directory).read_bytes()
    content = content.replace(b"label_index=", line + b"label_index=", 1)
    assert said in refusal(replace_artifact(directory, content))


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("tree_param", {"size_leaf_vector": "2"}, "has leaves of several values"),
        ("split_type", {0: 2}, "splits of a known type"),
        ("split_type", {-1: None}, "splits of a known type"),
        ("categories_nodes", {0: 100_000}, "categories for other nodes than it splits by category"),
        ("categories_sizes", {0: 0}, "beyond the"),
        ("categories_sizes", {0: 2**63 - 1}, "beyond the"),
        ("categories_sizes", {-1: None}, "a set of categories for each"),
        ("categories_segments", {0: -1}, "beyond the"),
        ("categories_segments", {0: 2**63 - 1}, "beyond the"),
    ],
)
def test_xgboost_trees_with_splits_by_categories_that_are_not_there_are_refused(
    tmp_path: Path, field: str, values: dict[Any, Any], said: str
) -> None:
    declared, booster, _ = split_by_category()
    directory = xgboost_model(tmp_path, declared, booster=booster, form="json")
    document = json.loads(artifact_of(directory).read_bytes())
    trees = document["learner"]["gradient_booster"]["model"]["trees"]
    tree = next(tree for tree in trees if tree["categories_nodes"])
    for place, value in values.items():
        if value is None:
            del tree[field][place]
        else:
            tree[field][place] = value
    assert said in refusal(replace_artifact(directory, json.dumps(document).encode()))


def test_xgboosts_dart_must_have_a_weight_for_each_tree(tmp_path: Path) -> None:
    booster = train_xgboost(TRAINING, rounds=5, booster="dart", rate_drop=0.3)
    directory = xgboost_model(tmp_path, TRAINING, booster=booster, form="json")
    Predictor.load(directory)
    document = json.loads(artifact_of(directory).read_bytes())
    document["learner"]["gradient_booster"]["weight_drop"].pop()
    said = refusal(replace_artifact(directory, json.dumps(document).encode()))
    assert "it does not have one weight for each tree" in said


def test_lightgbms_categories_are_told_apart_when_one_never_varied(tmp_path: Path) -> None:
    inputs = [
        {"name": "fixed", "type": "category", "values": ["k"]},
        {"name": "kind", "type": "category", "values": ["m", "a", "b"]},
    ]
    rows = [{"customer_id": n, "fixed": "k", "kind": "mab"[n % 3]} for n in range(300)]
    declared = Training(inputs, rows, np.array([n % 3 == 1 for n in range(300)], np.float64))
    booster = train_lightgbm(declared, categorical=["fixed", "kind"])
    booster.pandas_categorical = [["k"], ["m", "a", "b"]]
    directory = lightgbm_model(tmp_path, declared, booster=booster)
    Predictor.load(directory)
    wrong = [inputs[0], {**inputs[1], "values": ["a", "b", "m"]}]
    assert 'Declare it with the values ["m", "a", "b"]' in refusal(change_model(directory, inputs=wrong))
    booster.pandas_categorical = [["k"], ["m", "a", "b"], ["x"]]
    said = refusal(replace_artifact(directory, booster.model_to_string().encode()))
    assert "it lists the values of 3 pandas categories, but has 2 categorical features" in said
