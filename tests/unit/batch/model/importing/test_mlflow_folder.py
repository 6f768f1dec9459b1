"""MLflow folders written by hand; tests/integration/test_mlflow.py has some that mlflow wrote."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from batch.model.importing.command import main
from shared.errors import ModelError
from shared.predict import Predictor
from tests.unit.batch.model.importing.conftest import CONTRACTS, Customers

SIGNATURE = (
    {"type": "long", "name": "tenure", "required": True},
    {"type": "double", "name": "charges", "required": False},
    {"type": "string", "name": "contract", "required": False},
    {"type": "boolean", "name": "partner", "required": True},
)


def folder_of(booster: Path, folder: Path, signature: Any = SIGNATURE, **changes: Any) -> Path:
    """An MLflow model folder around a booster's file."""
    folder.mkdir()
    shutil.copy(booster, folder / "model.bin")
    flavor = "lightgbm" if booster.suffix == ".txt" else "xgboost"
    content = {
        "flavors": {
            "python_function": {"loader_module": f"mlflow.{flavor}"},
            flavor: {"data": "model.bin", "xgb_version": "3.2.0", "model_class": "xgboost.core.Booster"},
        },
        "mlflow_version": "3.1.0",
        "run_id": "0123456789abcdef0123456789abcdef",
        "signature": {"inputs": json.dumps(signature)} if signature else None,
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(content | changes))
    return folder


def refusal(source: Path, tmp_path: Path, *options: str) -> ModelError:
    with pytest.raises(ModelError) as refused:
        main([str(source), "--output", str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()
    return refused.value


@pytest.mark.parametrize("name", ["cat.ubj", "cat.txt"])
def test_a_signature_gives_types_and_what_may_be_missing_and_the_model_its_categories(
    boosters: Path, tmp_path: Path, name: str
) -> None:
    source = folder_of(boosters / name, tmp_path / "mlflow")
    assert main([str(source), "--output", str(tmp_path / "out")]) == 0
    inputs = Predictor.load(tmp_path / "out").model.declaration.inputs
    assert inputs == (
        {"name": "tenure", "type": "integer"},
        {"name": "charges", "type": "number", "missing": "nan"},
        {"name": "contract", "type": "category", "values": list(CONTRACTS), "missing": "nan"},
        {"name": "partner", "type": "boolean"},
    )


def test_provenance_names_the_run_and_versions(boosters: Path, tmp_path: Path) -> None:
    source = folder_of(boosters / "cat.ubj", tmp_path / "mlflow")
    assert main([str(source / "MLmodel"), "--output", str(tmp_path / "out")]) == 0
    declaration = Predictor.load(tmp_path / "out").model.declaration
    assert declaration.version == "0123456789ab"
    for name, value in {
        "source": "MLflow model folder mlflow",
        "flavor": "xgboost",
        "trained with": "xgboost 3.2.0",
        "model class": "xgboost.core.Booster",
        "mlflow run_id": "0123456789abcdef0123456789abcdef",
        "mlflow version": "3.1.0",
        "objective": "binary:logistic",
    }.items():
        assert declaration.provenance[name] == value


def test_one_hot_columns_of_a_signature_become_one_input_with_a_sample_that_has_it(
    customers: Customers, boosters: Path, tmp_path: Path
) -> None:
    hot = [name for name in customers.one_hot if name.startswith("contract_")]
    columns = [*SIGNATURE[:2], SIGNATURE[3], *({"type": "boolean", "name": name} for name in hot)]
    source = folder_of(boosters / "hot.ubj", tmp_path / "mlflow", columns)
    assert main([str(source), "--output", str(tmp_path / "out"), "--sample", str(customers.csv)]) == 0
    (contract,) = (
        item for item in Predictor.load(tmp_path / "out").model.schema.features if item.name == "contract"
    )
    assert (contract.encoding, contract.values) == ("one-hot", CONTRACTS)


def test_without_a_signature_the_sample_says_what_there_is(
    customers: Customers, boosters: Path, tmp_path: Path
) -> None:
    source = folder_of(boosters / "cat.txt", tmp_path / "mlflow", None)
    assert main([str(source), "--output", str(tmp_path / "out"), "--sample", str(customers.csv)]) == 0
    assert Predictor.load(tmp_path / "out").model.schema.key == "customerID"


def test_a_signature_of_other_columns_than_the_model_names_both_sides(boosters: Path, tmp_path: Path) -> None:
    other = [{"type": "long", "name": "months", "required": True}, *SIGNATURE[1:]]
    error = refusal(folder_of(boosters / "cat.ubj", tmp_path / "mlflow", other), tmp_path)
    assert "the model takes 'tenure', which the signature lacks" in error.message
    assert "the signature has 'months', which the model does not take" in error.message


def test_a_column_that_no_input_can_be_is_refused(boosters: Path, tmp_path: Path) -> None:
    dated = [*SIGNATURE[:3], {"type": "datetime", "name": "partner", "required": True}]
    error = refusal(folder_of(boosters / "cat.ubj", tmp_path / "mlflow", dated), tmp_path)
    assert "'partner' is a datetime" in error.message


@pytest.mark.parametrize(
    ("flavors", "said", "way_out"),
    [
        ({"python_function": {}}, "python_function alone", "import_sklearn"),
        ({"python_function": {}, "sklearn": {"pickled_model": "m.pkl"}}, "flavor sklearn", "import_sklearn"),
        ({"pytorch": {"model_data": "data"}}, "flavor pytorch", "save_model('model.ubj')"),
        ({"keras": {"data": "model.keras"}}, "Keras", "format='onnx'"),
        ({"lightgbm": {"data": "model.pkl", "model_class": "LGBMClassifier"}}, "LGBMClassifier", "booster_"),
        ({"xgboost": {"data": "../escape.ubj"}}, "not inside the folder", "again"),
        ({"xgboost": {"data": ["a"]}}, "not inside the folder", "again"),
        ({"lightgbm": {"data": "model.bin"}}, "which is a file of xgboost", "again"),
        ({"xgboost": {"data": "absent.ubj"}}, "No such file", "MLflow"),
        ({}, "python_function alone", "import_sklearn"),
        (None, "lists no flavors", "again"),
    ],
)
def test_what_is_not_imported_is_refused_with_the_way_out(
    boosters: Path, tmp_path: Path, flavors: Any, said: str, way_out: str
) -> None:
    shutil.copy(boosters / "cat.ubj", tmp_path / "escape.ubj")
    error = refusal(folder_of(boosters / "cat.ubj", tmp_path / "mlflow", flavors=flavors), tmp_path)
    assert said in error.message
    assert way_out in (error.hint or "")


@pytest.mark.parametrize(
    "content",
    [
        "]",
        "just text",
        "flavors: {xgboost: {data: model.bin}}\nsignature: {inputs: 'not json'}",
        "flavors: {xgboost: {data: model.bin}}\nsignature: {inputs: '[1]'}",
        "!!python/object/apply:os.mkdir ['{planted}']",
        "flavors: !!python/object/apply:os.mkdir ['{planted}']",
    ],
)
def test_a_damaged_or_hostile_mlmodel_is_a_sentence_and_runs_nothing(
    boosters: Path, tmp_path: Path, content: str
) -> None:
    planted = tmp_path / "planted"
    folder = folder_of(boosters / "cat.ubj", tmp_path / "mlflow")
    (folder / "MLmodel").write_text(content.replace("{planted}", str(planted)))
    assert "the file is damaged" in refusal(folder, tmp_path).message
    assert not planted.exists()


def test_a_folder_above_an_mlflow_folder_says_which_one(boosters: Path, tmp_path: Path) -> None:
    above = tmp_path / "artifacts"
    above.mkdir()
    folder_of(boosters / "cat.ubj", above / "model")
    assert f"{above / 'model'}" in (refusal(above, tmp_path).hint or "")
    assert "no MLflow model" in refusal(boosters, tmp_path).message
