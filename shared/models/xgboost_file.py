"""XGBoost's files, checked before XGBoost reads them: it trusts its UBJ, and a damaged one can crash it.

UBJ (universal binary JSON) is read here as XGBoost writes it: every length an int64, typed arrays for
numbers. See https://ubjson.org for the types.
"""

import json
import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_SCALARS: Final = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}
_CONSTANTS: Final = {"Z": None, "T": True, "F": False}
_ITEM_TYPES: Final = {code: np.dtype(layout) for code, layout in _SCALARS.items()}
#: Of a tree, one value a node each.
_NODE_FIELDS: Final = (
    "left_children",
    "right_children",
    "parents",
    "split_indices",
    "split_conditions",
    "default_left",
)


class DamagedError(ValueError):
    """The bytes are not what XGBoost would write."""


def check_file(content: bytes) -> None:
    """Reads a whole model and checks that its trees are trees.

    Args:
        content: UBJ or JSON.

    Raises:
        DamagedError: With what is wrong, and for UBJ where.
    """
    try:
        # JSON's first name follows at once or on a new line; UBJ's has the type of its length before it.
        is_json = content[1:2].strip() in (b"", b'"')
        _check_document(json.loads(content) if is_json else _Reader(content).document())
    except DamagedError:
        raise
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise DamagedError(f"it is not laid out as a model: {type(error).__name__} {error}") from error


def _check_document(document: Any) -> None:
    learner = document["learner"]
    booster, sizes = learner["gradient_booster"], learner["learner_model_param"]
    if booster["name"] == "gblinear":
        return
    model = booster.get("gbtree", booster)["model"]
    for place, tree in enumerate(model["trees"]):
        _check_tree(f"tree {place}", tree, int(sizes["num_feature"]))
    outputs = max(1, int(sizes["num_class"]), int(sizes.get("num_target", 1)))
    if len(model["tree_info"]) != len(model["trees"]):
        raise DamagedError("it does not say of each tree which output it is for")
    if any(not 0 <= int(output) < outputs for output in model["tree_info"]):
        raise DamagedError(f"it has a tree for an output beyond the {outputs} that there are")
    if booster["name"] == "dart" and len(booster["weight_drop"]) != len(model["trees"]):
        raise DamagedError("it does not have one weight for each tree")


def _check_tree(name: str, tree: dict[str, Any], width: int) -> None:
    count = int(tree["tree_param"]["num_nodes"])
    fields = {field: np.asarray(tree[field]) for field in _NODE_FIELDS}
    if int(tree["tree_param"]["size_leaf_vector"]) not in (0, 1):
        raise DamagedError(f"{name} has leaves of several values")
    if count < 1 or any(values.shape != (count,) for values in fields.values()):
        raise DamagedError(f"{name} does not have {count} nodes in each of its lists")
    left, right = fields["left_children"], fields["right_children"]
    inner = left != -1
    children = np.concatenate([left[inner], right[inner]])
    if (right[~inner] != -1).any() or (children < 1).any() or (children >= count).any():
        raise DamagedError(f"{name} has a node with a child that is none of its nodes")
    above = np.tile(np.flatnonzero(inner), 2)
    if (fields["parents"][children] != above).any() or len(np.unique(children)) != len(children):
        raise DamagedError(f"{name} has a node whose parent is another than the one that leads to it")
    if not _all_below_root(left, right, inner):
        raise DamagedError(f"{name} has nodes that lead round in a circle")
    features = fields["split_indices"][inner]
    if (features < 0).any() or (features >= width).any():
        raise DamagedError(f"{name} splits by a feature beyond the {width} that there are")
    _check_categories(name, tree, count)


def _check_categories(name: str, tree: dict[str, Any], count: int) -> None:
    if "split_type" not in tree:  # as before XGBoost 1.3, which has no splits by category
        return
    types = np.asarray(tree["split_type"])
    if types.shape != (count,) or not np.isin(types, (0, 1)).all():
        raise DamagedError(f"{name} does not have {count} splits of a known type")
    nodes, segments, sizes = (
        np.asarray(tree[f"categories_{field}"]) for field in ("nodes", "segments", "sizes")
    )
    if not np.array_equal(np.flatnonzero(types == 1), nodes):
        raise DamagedError(f"{name} has categories for other nodes than it splits by category")
    if not segments.shape == sizes.shape == nodes.shape:
        raise DamagedError(f"{name} does not have a set of categories for each split by category")
    # Not segments + sizes, which may be beyond int64.
    known = len(tree["categories"])
    if (sizes < 1).any() or (segments < 0).any() or (sizes > known).any() or (segments > known - sizes).any():
        raise DamagedError(f"{name} has a set of categories beyond the {known} that it lists")


def _all_below_root(left: npt.NDArray[Any], right: npt.NDArray[Any], inner: npt.NDArray[np.bool_]) -> bool:
    """Whether every child is reached from the root; as none is a child twice, there is then no circle."""
    level, reached = np.array([0]), 0
    while len(level):
        parents = level[inner[level]]
        level = np.concatenate([left[parents], right[parents]]).astype(np.intp)
        reached += len(level)
    return reached == 2 * int(np.count_nonzero(inner))


class _Reader:
    """Reads UBJ, each length checked against what is left."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def document(self) -> Any:
        """The one value that the bytes are."""
        value = self._value(self._code())
        if self._at != len(self._content):
            raise self._damaged("something follows the model")
        return value

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(f"{what} at byte {self._at:,} of {len(self._content):,}")

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._content) - self._at:
            raise self._damaged("it is cut short")
        self._at += count
        return self._content[self._at - count : self._at]

    def _code(self) -> str:
        return self._take(1).decode("latin-1")

    def _length(self) -> int:
        if self._code() != "L":
            raise self._damaged("a length is not an int64")
        return int(struct.unpack(">q", self._take(8))[0])

    def _value(self, code: str) -> Any:
        if code in _SCALARS:
            layout = _SCALARS[code]
            return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        match code:
            case "S":
                return self._take(self._length()).decode()
            case "{":
                return self._object()
            case "[":
                return self._array()
        raise self._damaged(f"the unknown type {code!r}")

    def _object(self) -> dict[str, Any]:
        found = {}
        while self._content[self._at : self._at + 1] != b"}":
            name = self._take(self._length()).decode()
            found[name] = self._value(self._code())
        self._take(1)
        return found

    def _array(self) -> Any:
        marker, kind = self._code(), ""
        if marker == "$":
            kind, marker = self._code(), self._code()
        if marker != "#":
            raise self._damaged("an array without a length")
        count = self._length()
        if not kind:
            # Each item has at least its type's byte: a count beyond the rest ends before it is reached.
            return [self._value(self._code()) for _ in range(count)]
        if kind not in _ITEM_TYPES:
            raise self._damaged(f"an array of the unknown type {kind!r}")
        item = _ITEM_TYPES[kind]
        return np.frombuffer(self._take(count * item.itemsize), dtype=item)
