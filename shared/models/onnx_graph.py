"""ONNX graphs, run by onnxruntime on one CPU thread."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final, Self

import numpy as np

from shared.errors import ModelError
from shared.frame import Frame
from shared.models.base import Floats, Scorer
from shared.models.libraries import first_line, library
from shared.models.onnx_inputs import Feed, plan_inputs
from shared.models.onnx_trees import TREE_OPERATORS, check_trees
from shared.schema import Schema

#: Operators that were seen to give a row the same bits whatever rows stand beside it: trees, which add in
#: their own order; what works on each number alone by exactly rounded arithmetic; and what moves numbers.
_STABLE: Final = frozenset(
    """
    ai.onnx.ml.TreeEnsembleClassifier ai.onnx.ml.TreeEnsembleRegressor
    ai.onnx.ml.ArrayFeatureExtractor ai.onnx.ml.Binarizer ai.onnx.ml.CategoryMapper
    ai.onnx.ml.FeatureVectorizer ai.onnx.ml.Imputer ai.onnx.ml.LabelEncoder ai.onnx.ml.OneHotEncoder
    ai.onnx.ml.Scaler
    Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape Div Equal Expand Flatten Floor Gather
    GatherElements GatherND Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Max Min Mul Neg Not
    OneHot Or Relu Reshape Round Shape Sign Slice Split Squeeze Sub Unsqueeze Where Xor
    """.split()  # noqa: SIM905 - a list of texts is longer and no clearer
)
_FLOATS: Final = ("tensor(float)", "tensor(double)")
_MAX_SHOWN: Final = 5


class OnnxScorer(Scorer):
    """The one probability, or number, that a graph gives a row."""

    kind: ClassVar[str] = "onnx"
    needs_artifact: ClassVar[bool] = True

    def __init__(self, session: Any, feed: Feed, output: str, unstable: str | None) -> None:
        self._session = session
        self._feed = feed
        self._output = output
        self._unstable = unstable

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:
        """Reads the graph, whose inputs must fit the declared ones, and runs it on one row."""
        onnx = library("onnx", extra=cls.kind)
        runtime = library("onnxruntime", extra=cls.kind)
        operators = _read_operators(onnx, artifact)
        session = _start(runtime, artifact)
        output = _find_output(session.get_outputs())
        feed = plan_inputs(schema, session.get_inputs())
        unstable = _why_unstable(operators, [item.shape for item in session.get_inputs()])
        scorer = cls(session, feed, output, unstable)
        scorer.try_out(schema)
        return scorer

    @property
    def unstable(self) -> str | None:
        """The operators whose result may depend on the size of a batch, or a graph of one row."""
        return self._unstable

    def raw(self, frame: Frame) -> Floats:
        """The probability of the second class, or the only number."""
        if not frame.count:
            return np.empty(0)
        found = self._session.run([self._output], self._feed(frame))[0]
        if found.ndim == 2 and found.shape[1] in (1, 2):
            found = found[:, -1]
        if found.shape != (frame.count,):
            raise ModelError(
                f"output {self._output!r} has the shape {found.shape} for {frame.count} rows",
                hint="A graph must give each row one number, or the probabilities of two classes.",
            )
        result: Floats = found.astype(np.float64)
        return result

    def try_out(self, schema: Schema) -> None:
        """Scores one row of zeros and first categories, so that a graph that cannot run does not load.

        Raises:
            ModelError: The graph cannot run, or its output has the wrong shape.
        """
        columns = {
            feature.name: np.array(
                [""] if feature.type == "string" else [0],
                {"string": object, "category": np.int32}.get(feature.type, np.float64),
            )
            for feature in schema.features
        }
        try:
            self.raw(Frame(1, columns))
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"artifact: onnxruntime cannot run it: {first_line(error)}",
                hint="Run it with onnxruntime on rows of the declared inputs to see why.",
            ) from error


_UNFIT: Final = "a score cannot depend on chance, or on lists"
# Refused at load, inside the branches of a graph too.
_REFUSED: Final = {
    "Loop": "it may run without end",
    "Scan": "it may run without end",
    "Multinomial": _UNFIT,
    "Bernoulli": _UNFIT,
    "Dropout": _UNFIT,
    # Its trees are not checked for circles and for inputs that are not there.
    "ai.onnx.ml.TreeEnsemble": "its trees are not checked",
}
_REFUSED_FAMILIES: Final = ("Random", "Sequence", "SplitToSequence", "ConcatFromSequence", "Optional")


def _read_operators(onnx: Any, artifact: bytes) -> set[str]:
    """The operators of a graph that is whole and valid."""
    try:
        model = onnx.ModelProto.FromString(artifact)
        elsewhere = next(_external(onnx, model), None)
        # Before the checker, which would take a model with an operator that it does not know for damaged.
        operators = _check_operators(onnx, model)
        _check_trees(onnx, model)
        if elsewhere is None:
            onnx.checker.check_model(model)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"artifact: it is not a valid ONNX model: {first_line(error)}",
            hint="The file is damaged, or not ONNX: export the model again.",
        ) from error
    if elsewhere is not None:
        raise ModelError(
            f"artifact: tensor {elsewhere!r} is kept in another file, which is never read",
            hint="Save the model in one file: onnx.save(model, path, save_as_external_data=False).",
        )
    return operators


def _external(onnx: Any, model: Any) -> Iterator[str]:
    """The names of tensors whose content is not in the model."""
    for graph in _graphs(model.graph):
        tensors = [*graph.initializer, *(part for item in graph.sparse_initializer for part in _parts(item))]
        for node in graph.node:
            for attribute in node.attribute:
                tensors += [attribute.t, *attribute.tensors, *_parts(attribute.sparse_tensor)]
        for tensor in tensors:
            if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
                yield tensor.name


def _parts(sparse: Any) -> tuple[Any, Any]:
    return sparse.values, sparse.indices


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside it, as the branches of an If."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            # A branch without nodes counts too: it may hold tensors.
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)


def _check_operators(onnx: Any, model: Any) -> set[str]:
    """The operators of a graph, all of which must be ONNX's own.

    Raises:
        ModelError: Naming the node and the operator that is not.
    """
    if model.functions:
        raise ModelError(
            f"artifact: it defines the function {model.functions[0].name!r}",
            hint="Inline it: onnx.inliner.inline_local_functions(model).",
        )
    versions = {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    operators: set[str] = set()
    for graph in _graphs(model.graph):
        for place, node in enumerate(graph.node):
            domain = node.domain or "ai.onnx"
            name = node.op_type if domain == "ai.onnx" else f"{domain}.{node.op_type}"
            known = domain in ("ai.onnx", "ai.onnx.ml") and domain in versions
            try:
                onnx.defs.get_schema(node.op_type, versions.get(domain, 0), node.domain)
            except onnx.defs.SchemaError:
                known = False
            if not known:
                raise ModelError(
                    f"artifact: node {place} ({node.name or 'unnamed'}) of graph {graph.name!r}"
                    f" has the unknown operator {name}",
                    hint="Export the model with the operators of ai.onnx and ai.onnx.ml alone.",
                )
            if name in _REFUSED or name.startswith(_REFUSED_FAMILIES):
                raise ModelError(
                    f"artifact: node {place} ({node.name or 'unnamed'}) of graph {graph.name!r}"
                    f" has the operator {name}: {_REFUSED.get(name, _UNFIT)}",
                    hint="Export the model with operators of trees, of numbers and of tables alone;"
                    " trees as TreeEnsembleClassifier or TreeEnsembleRegressor (ai.onnx.ml 3 or 4).",
                )
            operators.add(name)
    return operators


def _check_trees(onnx: Any, model: Any) -> None:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    widths = {
        item.name: item.type.tensor_type.shape.dim[1].dim_value
        for item in (*inferred.input, *inferred.value_info)
        if len(item.type.tensor_type.shape.dim) == 2
    }
    for graph in _graphs(model.graph):
        for node in graph.node:
            if node.domain == "ai.onnx.ml" and node.op_type in TREE_OPERATORS:
                check_trees(onnx, node, widths.get(node.input[0]) or None)


def _start(runtime: Any, artifact: bytes) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    # The further levels rewrite a graph for the CPU at hand, and with it its roundings.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"artifact: onnxruntime cannot load it: {first_line(error)}",
            hint="Export it for the opsets that the installed onnxruntime knows, or install a newer one.",
        ) from error


def _find_output(outputs: list[Any]) -> str:
    for output in outputs:
        if output.type.startswith(("seq", "map")):
            raise ModelError(
                f"artifact: output {output.name!r} is a {output.type}, not a tensor",
                hint="Convert it again so that it gives a tensor: skl2onnx and onnxmltools take"
                ' options={"zipmap": False} or zipmap=False.',
            )
    floats = [output.name for output in outputs if output.type in _FLOATS]
    if len(floats) != 1:
        found = ", ".join(f"{output.name} ({output.type})" for output in outputs)
        raise ModelError(
            f"artifact: one output of floats is needed, and its outputs are: {found}",
            hint="Leave the one with the probabilities, or the predicted number.",
        )
    return str(floats[0])


def _why_unstable(operators: set[str], shapes: list[list[Any]]) -> str | None:
    if any(shape and shape[0] == 1 for shape in shapes):
        return "the graph takes one row at a time"
    odd = sorted(operators - _STABLE)
    if not odd:
        return None
    shown = ", ".join(odd[:_MAX_SHOWN]) + (", ..." if len(odd) > _MAX_SHOWN else "")
    return f"the graph has operators whose last bits may change with the size of a batch ({shown})"
