"""ONNX graphs for the tests: trees taken from XGBoost, and a small neural network."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper, numpy_helper

OPSETS = (helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3))


def tensor(name: str, kind: int, *shape: int | str | None) -> onnx.ValueInfoProto:
    """The declaration of an input or an output."""
    return helper.make_tensor_value_info(name, kind, list(shape))


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
) -> bytes:
    """A model's bytes."""
    made = helper.make_graph(nodes, "test", inputs, outputs, constants)
    return bytes(helper.make_model(made, opset_imports=OPSETS, ir_version=9).SerializeToString())


def tree_node(booster: xgboost.Booster, source: str, result: str) -> onnx.NodeProto:
    """A booster's trees as one operator; its result is the margin, [N, 1]."""
    nodes, leaves = _tree_fields(booster)
    targets: dict[str, Any] = {f"target_{name}": values for name, values in leaves.items()}
    return helper.make_node(
        "TreeEnsembleRegressor", [source], [result], domain="ai.onnx.ml", n_targets=1, **nodes, **targets
    )


def classifier_node(booster: xgboost.Booster, source: str, label: str, result: str) -> onnx.NodeProto:
    """A booster's trees as converters write them; the results are a label and two probabilities, [N, 2]."""
    nodes, leaves = _tree_fields(booster)
    leaves["ids"] = [1] * len(leaves["ids"])
    classes: dict[str, Any] = {f"class_{name}": values for name, values in leaves.items()}
    return helper.make_node(
        "TreeEnsembleClassifier",
        [source],
        [label, result],
        domain="ai.onnx.ml",
        classlabels_int64s=[0, 1],
        post_transform="LOGISTIC",
        **nodes,
        **classes,
    )


def _tree_fields(booster: xgboost.Booster) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    columns: dict[str, list[Any]] = {name: [] for name in _NODE_FIELDS}
    leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    names = booster.feature_names or [f"f{place}" for place in range(booster.num_features())]
    for tree, text in enumerate(booster.get_dump(dump_format="json")):
        pending = [json.loads(text)]
        while pending:
            node = pending.pop()
            split = "split" in node
            row = {"treeids": tree, "nodeids": node["nodeid"], "modes": "BRANCH_LT" if split else "LEAF"}
            for name, empty in _NODE_FIELDS.items():
                columns[name].append(row.get(name, empty))
            if split:
                columns["featureids"][-1] = names.index(node["split"])
                columns["values"][-1] = float(node["split_condition"])
                columns["truenodeids"][-1], columns["falsenodeids"][-1] = node["yes"], node["no"]
                columns["missing_value_tracks_true"][-1] = int(node["missing"] == node["yes"])
                pending += node["children"]
            else:
                leaves["treeids"].append(tree)
                leaves["nodeids"].append(node["nodeid"])
                leaves["ids"].append(0)
                leaves["weights"].append(float(node["leaf"]))
    return {f"nodes_{name}": values for name, values in columns.items()}, leaves


_NODE_FIELDS: dict[str, Any] = {
    "treeids": 0,
    "nodeids": 0,
    "modes": "LEAF",
    "featureids": 0,
    "values": 0.0,
    "truenodeids": 0,
    "falsenodeids": 0,
    "missing_value_tracks_true": 0,
}


def trees(booster: xgboost.Booster, width: int) -> bytes:
    """One matrix in; a label and the probabilities of two classes out, as converters write them."""
    nodes = [classifier_node(booster, "x", "label", "probabilities")]
    outputs = [tensor("label", TensorProto.INT64, None), tensor("probabilities", TensorProto.FLOAT, None, 2)]
    return graph(nodes, [tensor("x", TensorProto.FLOAT, None, width)], outputs)


def margins(booster: xgboost.Booster, width: int, *, flat: bool = False) -> bytes:
    """One matrix in; the sum of the leaves out, as [N, 1] or [N]."""
    nodes = [tree_node(booster, "x", "sum")]
    if flat:
        nodes.append(helper.make_node("Squeeze", ["sum", "last"], ["flat"]))
    output = tensor("flat", TensorProto.FLOAT, None) if flat else tensor("sum", TensorProto.FLOAT, None, 1)
    last = numpy_helper.from_array(np.array([1], np.int64), "last")
    return graph(nodes, [tensor("x", TensorProto.FLOAT, None, width)], [output], [last] if flat else ())


def network(width: int, *, seed: int = 1, rows: int | None = None) -> bytes:
    """A neural network with one hidden layer, whose sums change their order with the size of a batch."""
    random = np.random.default_rng(seed)
    constants = [
        numpy_helper.from_array((random.normal(size=(width, 33)) / 30).astype(np.float32), "w1"),
        numpy_helper.from_array(random.normal(size=33).astype(np.float32), "b1"),
        numpy_helper.from_array((random.normal(size=(33, 1)) / 6).astype(np.float32), "w2"),
        numpy_helper.from_array(np.zeros(1, np.float32), "b2"),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["p"]),
    ]
    return graph(
        nodes,
        [tensor("x", TensorProto.FLOAT, rows, width)],
        [tensor("p", TensorProto.FLOAT, rows, 1)],
        constants,
    )


def by_name(booster: xgboost.Booster, categories: Sequence[str]) -> bytes:
    """A tensor for each input (tenure, charges, partner, contract), put together inside the graph."""
    nodes = [
        helper.make_node("Cast", ["tenure"], ["t"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["partner"], ["p"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["p", "column"], ["p2"]),
        helper.make_node(
            "LabelEncoder",
            ["contract"],
            ["c"],
            domain="ai.onnx.ml",
            keys_strings=list(categories),
            values_floats=[float(place) for place in range(len(categories))],
            default_float=float("nan"),
        ),
        helper.make_node("Concat", ["t", "charges", "p2", "c"], ["x"], axis=1),
        classifier_node(booster, "x", "label", "score"),
    ]
    inputs = [
        tensor("tenure", TensorProto.INT64, None, 1),
        tensor("charges", TensorProto.FLOAT, None, 1),
        tensor("partner", TensorProto.BOOL, None),
        tensor("contract", TensorProto.STRING, None, 1),
    ]
    column = numpy_helper.from_array(np.array([-1, 1], np.int64), "column")
    return graph(nodes, inputs, [tensor("score", TensorProto.FLOAT, None, 2)], [column])
