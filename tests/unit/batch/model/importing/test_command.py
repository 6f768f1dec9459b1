import hashlib
import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest
import xgboost

from batch.model.importing.command import main
from shared.errors import ConfigurationError, InputError, ModelError
from shared.predict import Predictor
from tests.support import graphs
from tests.unit.batch.model.importing.conftest import CONTRACTS, Customers


def declared(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "model.json").read_bytes())
    return content


def inputs_of(directory: Path) -> dict[str, dict[str, Any]]:
    return {item.pop("name"): item for item in declared(directory)["inputs"]}


def bring(source: Path, output: Path, *options: str | Path) -> Predictor:
    assert main([str(source), "--output", str(output), *map(str, options)]) == 0
    return Predictor.load(output)


@pytest.mark.parametrize("name", ["cat.ubj", "cat.json", "hot.ubj", "cat.txt"])
def test_a_file_and_a_sample_become_a_model_that_scores_as_its_library(
    customers: Customers, boosters: Path, tmp_path: Path, name: str
) -> None:
    predictor = bring(boosters / name, tmp_path / "out", "--sample", customers.csv, "--decision", "churn")
    table = pyarrow.csv.read_csv(
        customers.csv, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    )
    scores = predictor.score_table(table.combine_chunks().to_batches()[0]).scores
    if name == "cat.txt":
        expected: Any = lightgbm.Booster(model_file=boosters / name).predict(customers.features)
    else:
        rows = customers.one_hot if name == "hot.ubj" else customers.features
        data = xgboost.DMatrix(rows, enable_categorical=True, nthread=1)
        expected = xgboost.Booster(model_file=boosters / name).predict(data)
    assert np.abs(scores - expected).max() < 1e-6
    assert ((scores > 0.5) == (expected > 0.5)).all()


def test_a_sample_gives_types_categories_missing_values_and_the_key(
    customers: Customers, boosters: Path, tmp_path: Path
) -> None:
    bring(boosters / "cat.txt", tmp_path / "out", "--sample", customers.csv)
    assert declared(tmp_path / "out")["key"] == "customerID"
    assert inputs_of(tmp_path / "out") == {
        "customerID": {"type": "string"},
        "tenure": {"type": "integer"},
        "charges": {"type": "number", "missing": "nan"},
        # In the order of training, which is not that of the alphabet.
        "contract": {"type": "category", "values": list(CONTRACTS), "missing": "nan"},
        "partner": {"type": "boolean"},
    }


def test_columns_named_after_values_become_a_one_hot_input(
    customers: Customers, boosters: Path, tmp_path: Path
) -> None:
    bring(boosters / "hot.ubj", tmp_path / "out", "--sample", customers.csv)
    assert inputs_of(tmp_path / "out")["contract"] == {
        "type": "category",
        "values": list(CONTRACTS),
        "missing": "nan",
        "encoding": "one-hot",
    }


def test_a_parquet_sample_gives_the_same_inputs_as_a_csv(
    customers: Customers, boosters: Path, tmp_path: Path
) -> None:
    typed = tmp_path / "customers.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(customers.frame, preserve_index=False), typed)
    bring(boosters / "cat.txt", tmp_path / "csv", "--sample", customers.csv, "--name", "same")
    bring(boosters / "cat.txt", tmp_path / "parquet", "--sample", typed, "--name", "same")
    assert (tmp_path / "csv/model.json").read_bytes() == (tmp_path / "parquet/model.json").read_bytes()


def test_the_inference_is_written_out_and_can_be_corrected_and_given_back(
    customers: Customers, boosters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(boosters / "cat.ubj", tmp_path / "first", "--sample", customers.csv)
    said = capsys.readouterr().out
    for part in ("customerID", "category of 3: monthly", "the customer's id", "does not take: Churn"):
        assert part in said
    corrected = json.loads((tmp_path / "first/inputs.json").read_bytes())
    corrected["inputs"][1]["minimum"] = 0
    # The order does not matter where the model knows its columns.
    corrected["inputs"].reverse()
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(corrected))
    again = bring(boosters / "cat.ubj", tmp_path / "again", "--schema", schema, "--sample", customers.csv)
    assert inputs_of(tmp_path / "again")["tenure"] == {"type": "integer", "minimum": 0}
    assert not (tmp_path / "again/inputs.json").exists()
    first = Predictor.load(tmp_path / "first")
    event = first.model.declaration.golden[0].event
    assert again.score_one(event).scores.tolist() == first.score_one(event).scores.tolist()


def test_the_artifact_is_copied_with_its_hash_and_golden_rows_hold_no_real_id(
    customers: Customers, boosters: Path, tmp_path: Path
) -> None:
    bring(boosters / "cat.ubj", tmp_path / "out", "--sample", customers.csv)
    content = declared(tmp_path / "out")
    copied = (tmp_path / "out" / content["artifact"]["file"]).read_bytes()
    assert copied == (boosters / "cat.ubj").read_bytes()
    assert content["artifact"]["sha256"] == hashlib.sha256(copied).hexdigest()
    assert len(content["golden"]) == 20
    ids = {golden["event"]["customerID"] for golden in content["golden"]}
    assert not ids & set(customers.frame["customerID"])
    assert content["provenance"]["source"] == "cat.ubj"
    assert content["provenance"]["objective"] == "binary:logistic"


def test_without_a_sample_a_file_that_names_its_columns_is_enough(
    boosters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = bring(boosters / "cat.ubj", tmp_path / "out")
    assert "golden rows were made of the inputs" in capsys.readouterr().out
    assert predictor.model.schema.key == "customer_id"
    assert len(predictor.model.declaration.golden) == 20


def test_a_key_can_be_named(customers: Customers, boosters: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.csv"
    customers.frame.rename(columns={"customerID": "who"}).to_csv(renamed, index=False)
    bring(boosters / "cat.ubj", tmp_path / "out", "--sample", renamed, "--key", "who")
    assert declared(tmp_path / "out")["key"] == "who"
    with pytest.raises(ConfigurationError, match="'tenure' is an input of the model"):
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "no"), "--key", "tenure"])


def test_a_mismatch_of_names_names_both_sides(customers: Customers, boosters: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    customers.frame.rename(columns={"tenure": "months"}).to_csv(other, index=False)
    with pytest.raises(ModelError) as refused:
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "out"), "--sample", str(other)])
    assert "the model takes 'tenure', which the sample other.csv lacks" in refused.value.message
    assert "'months'" in refused.value.message
    assert "tenure, charges, contract, partner" in (refused.value.hint or "")
    assert not (tmp_path / "out").exists()


def test_a_mismatch_of_counts_names_both_sides(customers: Customers, boosters: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="takes 6 columns, which it does not name, but the sample has 5"):
        main([str(boosters / "unnamed.ubj"), "--output", str(tmp_path / "a"), "--sample", str(customers.csv)])
    plain = tmp_path / "plain.csv"
    customers.one_hot.to_csv(plain, index=False)
    predictor = bring(boosters / "unnamed.ubj", tmp_path / "b", "--sample", plain)
    assert [item.name for item in predictor.model.schema.features] == list(customers.one_hot.columns)


def test_texts_where_the_model_takes_numbers_are_refused(
    customers: Customers, boosters: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    customers.frame.assign(charges="a lot").to_csv(other, index=False)
    with pytest.raises(
        ModelError, match="takes 'charges' as a number, but the sample has texts there: 'a lot'"
    ):
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "out"), "--sample", str(other)])


def test_categories_that_nobody_knows_are_asked_for(tmp_path: Path, customers: Customers) -> None:
    codes = customers.features.assign(contract=customers.features["contract"].cat.codes.clip(0))
    data = xgboost.DMatrix(
        codes.to_numpy(float),
        customers.labels,
        feature_names=list(codes),
        feature_types=["int", "float", "c", "i"],
        enable_categorical=True,
    )
    xgboost.train({"objective": "binary:logistic"}, data, 5).save_model(tmp_path / "codes.ubj")
    with pytest.raises(ModelError, match="categories of 'contract' are not known") as refused:
        main([str(tmp_path / "codes.ubj"), "--output", str(tmp_path / "out")])
    assert "--sample" in (refused.value.hint or "")
    sample = tmp_path / "codes.csv"
    codes.to_csv(sample, index=False)
    with pytest.raises(
        ModelError, match="'contract' as a category, but the sample has no texts there"
    ) as refused:
        main([str(tmp_path / "codes.ubj"), "--output", str(tmp_path / "out"), "--sample", str(sample)])
    assert "--schema" in (refused.value.hint or "")
    # With the texts in place of their codes the sample says what there is.
    texts = tmp_path / "texts.csv"
    customers.features.assign(contract="a").to_csv(texts, index=False)
    bring(tmp_path / "codes.ubj", tmp_path / "out", "--sample", texts)
    assert inputs_of(tmp_path / "out")["contract"] == {"type": "category", "values": ["a"]}


def test_a_regression_needs_a_threshold(boosters: Path, tmp_path: Path) -> None:
    source = boosters / "regression.json"
    with pytest.raises(ConfigurationError, match=r"--threshold: needed.*reg:squarederror"):
        main([str(source), "--output", str(tmp_path / "out")])
    assert bring(source, tmp_path / "out", "--threshold", "0.3").model.threshold == 0.3


def test_an_onnx_graph_is_imported_and_scored_one_row_at_a_time_where_it_must_be(
    customers: Customers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    weights = onnx.numpy_helper.from_array(np.array([[0.1], [0.2]], np.float32), "w")
    content = graphs.graph(
        [node],
        [graphs.tensor("x", onnx.TensorProto.FLOAT, None, 2)],
        [graphs.tensor("y", onnx.TensorProto.FLOAT, None, 1)],
        [weights],
    )
    (tmp_path / "model.onnx").write_bytes(content)
    sample = tmp_path / "sample.csv"
    customers.frame[["customerID", "tenure", "charges"]].dropna().to_csv(sample, index=False)
    predictor = bring(tmp_path / "model.onnx", tmp_path / "out", "--sample", sample, "--threshold", "10")
    assert predictor.model.declaration.execution.rows == "one"
    assert "rows are scored one at a time" in capsys.readouterr().out
    scores = predictor.score_one({"customerID": "a", "tenure": 10, "charges": 50}).scores
    assert scores.tolist() == pytest.approx([11.0])


def test_an_output_that_holds_something_is_refused_and_left_as_it_is(boosters: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "precious").write_text("kept")
    with pytest.raises(InputError, match="not empty"):
        main([str(boosters / "cat.ubj"), "--output", str(output)])
    assert [item.name for item in output.iterdir()] == ["precious"]


def test_nothing_is_left_behind_when_writing_fails(
    boosters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target), None, str(path))

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(InputError, match="No space left"):
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "made" / "out")])
    assert list((tmp_path / "made").iterdir()) == []


def test_a_sample_that_cannot_be_scored_at_all_is_refused(boosters: Path, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    rows = pd.DataFrame({"tenure": [1], "charges": [1.5], "contract": ["weekly"], "partner": [True]})
    rows.to_csv(sample, index=False)
    with pytest.raises(
        InputError, match=r"none of its 1 rows can be scored; most because contract is 'weekly'"
    ):
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "out"), "--sample", str(sample)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("3", "neither a list nor an object"),
        ('{"inputs": []}', "inputs"),
        ('[{"name": "a", "type": "number"}, {"name": "a", "type": "number"}]', "declared twice"),
    ],
)
def test_a_schema_file_at_fault_is_named(boosters: Path, tmp_path: Path, content: str, said: str) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(content)
    with pytest.raises(InputError, match=said):
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "out"), "--schema", str(schema)])


def test_a_schema_that_does_not_fit_the_model_is_refused(boosters: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('[{"name": "tenure", "type": "integer"}]')
    with pytest.raises(ModelError, match="1 columns, but the model was trained on 4"):
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "out"), "--schema", str(schema)])


def test_a_damaged_file_is_a_sentence(boosters: Path, tmp_path: Path) -> None:
    for name in ("cat.ubj", "cat.json", "cat.txt"):
        damaged = tmp_path / name
        damaged.write_bytes((boosters / name).read_bytes()[:400])
        with pytest.raises(ModelError):
            main([str(damaged), "--output", str(tmp_path / "out")])


def test_remote_models_are_to_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        main(["models:/churn/3", "--output", str(tmp_path / "out")])
    assert "mlflow artifacts download" in (refused.value.hint or "")


def test_a_name_that_a_model_must_not_have_is_refused(boosters: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        main([str(boosters / "cat.ubj"), "--output", str(tmp_path / "out"), "--name", "a b"])
