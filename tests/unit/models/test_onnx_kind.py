"""ONNX graphs: what is taken, what is refused with the fix, and when a graph must go row by row."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from shared.errors import ModelError
from shared.frame import Frame
from shared.models.base import Floats
from shared.models.directory import KINDS
from shared.models.features import FeatureMatrix
from shared.models.onnx_graph import OnnxScorer
from shared.predict import Predictor
from shared.schema import Schema
from tests.support.graphs import OPSETS, by_name, graph, margins, network, tensor, tree_node, trees
from tests.support.models import change_model
from tests.support.trained import INPUTS, made_up, onnx_model, train_xgboost

TRAINING = made_up(count=300)
# A graph takes the leaves alone, so that there may be nothing else to add.
BOOSTER = train_xgboost(TRAINING, base_score=0.5)
NUMBERS = Schema.model_validate({"inputs": [{"name": name, "type": "number"} for name in "ab"]})
MATRIX = tensor("x", TensorProto.FLOAT, None, 2)
OUT = tensor("y", TensorProto.FLOAT, None, 1)


def refusal(content: bytes, schema: Schema = NUMBERS) -> str:
    with pytest.raises(ModelError) as caught:
        OnnxScorer.load(schema, content)
    return str(caught.value)


def simple(*nodes: onnx.NodeProto, outputs: Sequence[onnx.ValueInfoProto] = (OUT,)) -> bytes:
    return graph(nodes, [MATRIX], outputs, [numpy_helper.from_array(np.ones((2, 1), np.float32), "w")])


def sums() -> onnx.NodeProto:
    return helper.make_node("MatMul", ["x", "w"], ["y"], name="sums")


def test_scores_are_onnxruntimes_own_second_probabilities(tmp_path: Path) -> None:
    content = trees(BOOSTER, 7)
    scorer = Predictor.load(onnx_model(tmp_path, TRAINING, graph=content)).model.scorer
    matrix = FeatureMatrix(TRAINING.schema, np.float32).build(TRAINING.frame)
    options = onnxruntime.SessionOptions()
    # On several threads it adds the trees in another order.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (expected,) = session.run(["probabilities"], {"x": matrix})
    scores = scorer.score(TRAINING.frame)
    assert scores.tolist() == expected[:, 1].tolist()
    by_xgboost = BOOSTER.inplace_predict(matrix)
    assert np.allclose(scores, by_xgboost, atol=1e-6)


@pytest.mark.parametrize("flat", [True, False])
def test_one_number_a_row_is_a_score_too(tmp_path: Path, flat: bool) -> None:
    content = margins(BOOSTER, 7, flat=flat)
    scorer = Predictor.load(onnx_model(tmp_path, TRAINING, graph=content)).model.scorer
    assert scorer.score(TRAINING.frame).shape == (300,)


def test_a_tensor_for_each_input_is_fed_by_name(tmp_path: Path) -> None:
    inputs = [dict(item) for item in INPUTS[:4]]
    del inputs[3]["missing"]
    training = made_up(inputs, count=300)
    booster = train_xgboost(training)
    named = Predictor.load(onnx_model(tmp_path / "n", training, graph=by_name(booster, INPUTS[3]["values"])))
    whole = Predictor.load(onnx_model(tmp_path / "w", training, graph=trees(booster, 4)))
    scores = named.score_frame(training.frame)
    assert scores.tolist() == whole.score_frame(training.frame).tolist()
    said = refusal(by_name(booster, INPUTS[3]["values"]), made_up(inputs[:3]).schema)
    assert "input 'contract' is not declared" in said
    assert "contract (tensor(string))" in said
    for wrong, expected in (
        ({"type": "number"}, "is a number, but the graph takes a tensor(string) there"),
        ({**inputs[3], "missing": "nan"}, "may be missing, but the graph takes a tensor(string)"),
        ({**inputs[3], "encoding": "one-hot"}, "is one-hot, but the graph takes it as one value"),
    ):
        odd = Schema.model_validate({"inputs": [*inputs[:3], {"name": "contract", **wrong}]})
        assert expected in refusal(by_name(booster, INPUTS[3]["values"]), odd)


def test_an_operator_that_is_not_onnxs_own_is_refused_with_its_node() -> None:
    for name, domain in (("Telepathy", ""), ("FusedGemm", "com.microsoft"), ("MyOp", "my.company")):
        node = helper.make_node(name, ["x", "w"], ["y"], name="odd one", domain=domain)
        opsets = [*OPSETS, *([helper.make_opsetid(domain, 1)] if domain else [])]
        made = helper.make_graph([node], "test", [MATRIX], [OUT])
        said = refusal(helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString())
        shown = f"{domain}.{name}" if domain else name
        assert f"node 0 (odd one) of graph 'test' has the unknown operator {shown}" in said
        assert "Export the model with the operators of ai.onnx" in said


def test_an_unknown_operator_inside_a_branch_is_found() -> None:
    inner = helper.make_graph([helper.make_node("Telepathy", ["x"], ["z"])], "inner", [], [OUT])
    branch = helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
    flag = numpy_helper.from_array(np.array(True), "flag")
    assert "of graph 'inner' has the unknown operator Telepathy" in refusal(
        graph([branch], [MATRIX], [OUT], [flag])
    )


def test_maps_are_refused_with_the_option_that_gives_a_tensor() -> None:
    softmax = helper.make_node("Identity", ["x"], ["p"])
    zipmap = helper.make_node("ZipMap", ["p"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    map_type = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    maps = helper.make_value_info("maps", helper.make_sequence_type_proto(map_type))
    said = refusal(simple(softmax, zipmap, outputs=[maps]))
    assert "output 'maps' is a seq(map(int64,tensor(float))), not a tensor" in said
    assert "zipmap=False" in said


def test_several_outputs_of_floats_are_refused() -> None:
    second = tensor("z", TensorProto.FLOAT, None, 2)
    copy = helper.make_node("Identity", ["x"], ["z"])
    said = refusal(simple(sums(), copy, outputs=[OUT, second]))
    assert "its outputs are: y (tensor(float)), z (tensor(float))" in said


def test_an_output_that_is_not_one_number_or_two_probabilities_is_refused() -> None:
    wide = tensor("z", TensorProto.FLOAT, None, None)
    said = refusal(simple(helper.make_node("Concat", ["x", "x"], ["z"], axis=1), outputs=[wide]))
    assert "output 'z' has the shape (1, 4) for 1 rows" in said


def test_a_tensor_in_another_file_is_refused_unread(tmp_path: Path) -> None:
    secret = tmp_path / "weights.bin"
    secret.write_bytes(np.ones(2, np.float32).tobytes())
    model = onnx.load_from_string(simple(sums()))
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=str(secret))
    said = refusal(model.SerializeToString())
    assert "tensor 'w' is kept in another file, which is never read" in said


def test_functions_of_the_models_own_are_refused() -> None:
    model = onnx.load_from_string(simple(sums()))
    function = helper.make_function(
        "my", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], OPSETS[:1]
    )
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("my", 1))
    assert "it defines the function 'F'" in refusal(model.SerializeToString())


def test_a_fixed_number_of_rows_is_refused_unless_it_is_one() -> None:
    said = refusal(network(2, rows=8))
    assert "graph input 'x' has the shape [8, 2]" in said
    assert OnnxScorer.load(NUMBERS, network(2, rows=1)).unstable == "the graph takes one row at a time"


def test_a_graph_that_may_change_bits_with_the_batch_must_go_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [{**item, "missing": "reject"} for item in INPUTS]
    training = made_up(inputs, count=300)
    directory = onnx_model(tmp_path, training, graph=network(7), execution={"rows": "one"})
    predictor = Predictor.load(directory)
    sizes: list[int] = []
    raw = predictor.model.scorer.raw

    def counting(frame: Frame) -> Floats:
        sizes.append(frame.count)
        return raw(frame)

    monkeypatch.setattr(predictor.model.scorer, "raw", counting)
    outcome = predictor.score_json([json.dumps(row).encode() for row in training.rows[:5]])
    assert (len(outcome.scores), sizes) == (5, [1] * 5)
    with pytest.raises(ModelError) as caught:
        Predictor.load(change_model(directory, execution={"rows": "any"}))
    assert "execution.rows: the graph has operators whose last bits may change" in str(caught.value)
    assert "(Gemm, Sigmoid, Tanh)" in str(caught.value)
    assert '"execution": {"rows": "one"}' in str(caught.value)


def test_trees_whose_nodes_lead_round_or_nowhere_are_refused() -> None:
    node = tree_node(BOOSTER, "x", "y")
    fields = {item.name: item for item in node.attribute}
    inner = next(place for place, mode in enumerate(fields["nodes_modes"].strings) if mode == b"BRANCH_LT")
    sound = fields["nodes_truenodeids"].ints[inner]
    wide = Schema.model_validate({"inputs": INPUTS})
    for child, said in ((0, "leads to none, or to one"), (10**6, "leads to none, or to one")):
        fields["nodes_truenodeids"].ints[inner] = child
        model = graph([node], [tensor("x", TensorProto.FLOAT, None, 7)], [OUT])
        assert said in refusal(model, wide) or "round in a circle" in refusal(model, wide)
    fields["nodes_truenodeids"].ints[inner] = sound
    fields["nodes_featureids"].ints[inner] = 7
    model = graph([node], [tensor("x", TensorProto.FLOAT, None, 7)], [OUT])
    assert "splits by feature 7 of 7" in refusal(model, wide)


def test_every_operator_that_counts_as_stable_is_onnxs_own() -> None:
    from shared.models.onnx_graph import _STABLE  # noqa: PLC0415 - a contract test

    for name in _STABLE:
        domain, _, operator = name.rpartition(".")
        assert onnx.defs.has(operator, domain=domain), name


def test_onnx_cannot_explain(tmp_path: Path) -> None:
    directory = onnx_model(tmp_path, TRAINING)
    with pytest.raises(ModelError, match="cannot say what each input contributed"):
        Predictor.load(directory).model.scorer.explain(TRAINING.frame)
    assert KINDS["onnx"] is OnnxScorer


@pytest.mark.parametrize("operator", ["RandomUniformLike", "Bernoulli", "Dropout", "SequenceConstruct"])
def test_an_operator_that_no_score_can_rest_on_is_refused_by_name(operator: str) -> None:
    said = refusal(simple(helper.make_node(operator, ["x"], ["y"], name="odd")))
    assert f"node 0 (odd) of graph 'test' has the operator {operator}" in said


def test_a_loop_is_refused_before_it_runs() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["more"], ["again"])],
        "body",
        [tensor("i", TensorProto.INT64), tensor("more", TensorProto.BOOL)],
        [tensor("again", TensorProto.BOOL)],
    )
    turns = numpy_helper.from_array(np.array(2**62, np.int64), "turns")
    content = graph(
        [helper.make_node("Loop", ["turns", ""], [], body=body), sums()], [MATRIX], [OUT], [turns]
    )
    assert "the operator Loop: it may run without end" in refusal(content)


def test_a_tensor_in_another_file_is_found_in_a_branch_without_nodes() -> None:
    outside = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="secret.bin")
    branch = helper.make_graph([], "branch", [], [tensor("secret", TensorProto.FLOAT, 1)], [outside])
    asked = numpy_helper.from_array(np.array(True), "asked")
    choice = helper.make_node("If", ["asked"], ["z"], then_branch=branch, else_branch=branch)
    content = graph([choice, sums()], [MATRIX], [OUT], [asked])
    assert "tensor 'secret' is kept in another file" in refusal(content)
