"""The trees of an ONNX graph, checked before onnxruntime runs them: it would follow a circle for ever."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.errors import ModelError

TREE_OPERATORS: Final = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
_FIELDS: Final = ("treeids", "nodeids", "modes", "featureids", "truenodeids", "falsenodeids")


def check_trees(onnx: Any, node: Any, width: int | None) -> None:
    """Checks that the trees of one operator are trees.

    Args:
        onnx: The library.
        node: The operator.
        width: How many numbers a row has that it is given; None when the graph does not say.

    Raises:
        ModelError: Naming the operator and the tree.
    """
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    fields = {name: list(attributes.get(f"nodes_{name}", ())) for name in _FIELDS}
    problem = _problem(fields, width)
    if problem:
        raise ModelError(
            f"artifact: node {node.name or node.op_type!r} has {problem}",
            hint="The file is damaged: export the model again.",
        )


def _problem(fields: Mapping[str, Sequence[Any]], width: int | None) -> str | None:
    if len({len(values) for values in fields.values()}) != 1:
        return "lists of nodes of different lengths"
    places = {key: place for place, key in enumerate(zip(fields["treeids"], fields["nodeids"], strict=True))}
    if len(places) != len(fields["nodeids"]):
        return "two nodes of one number in a tree"
    parents: dict[int, int] = {}
    rows = zip(*fields.values(), strict=True)
    for place, (tree, _, mode, feature, yes, no) in enumerate(rows):
        if mode == b"LEAF":
            continue
        if width is not None and not 0 <= feature < width:
            return f"a tree that splits by feature {feature} of {width}"
        for child in (yes, no):
            found = places.get((tree, child))
            if found is None or found in parents:
                return f"a node of tree {tree} that leads to none, or to one that another leads to"
            parents[found] = place
    return _circle(parents, len(places))


def _circle(parents: Mapping[int, int], count: int) -> str | None:
    """Whether nodes are each other's ancestors: as each has one parent at most, following these finds it."""
    sound: set[int] = set()
    for start in range(count):
        path: set[int] = set()
        place: int | None = start
        while place is not None and place not in sound:
            if place in path:
                return "a tree whose nodes lead round in a circle"
            path.add(place)
            place = parents.get(place)
        sound |= path
    return None
