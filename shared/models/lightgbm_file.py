"""LightGBM's text, checked before LightGBM reads it: it trusts the text, and a damaged one can crash it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import ModelError

#: What stands below the trees of a whole file, in this order.
_LANDMARKS: Final = (b"\nend of trees\n", b"\nparameters:", b"\nend of parameters\n")
_PARAMETER: Final = re.compile(rb"\[[a-z][a-z0-9_]*: .*\]")
_TREE_LINE: Final = re.compile(rb"[A-Za-z_]+=[0-9a-z+\-. ]*")
#: LightGBM reads no more lines of a tree than there are names here, and so misses what stands below others.
_TREE_FIELDS: Final = re.compile(
    "Tree|num_leaves|num_cat|split_feature|split_gain|threshold|decision_type|left_child|right_child"
    "|leaf_value|leaf_weight|leaf_count|internal_value|internal_weight|internal_count"
    "|cat_boundaries|cat_threshold|is_linear|leaf_const|num_features|leaf_features|leaf_coeff"
    "|shrinkage"
)
_CATEGORICAL: Final = 1
_KNOWN_DECISIONS: Final = 16


class DamagedError(ValueError):
    """The text is not what LightGBM would write."""


@dataclass(frozen=True, slots=True)
class ModelText:
    """A model's text.

    Attributes:
        text: All of it.
        header: What stands above the trees, by name.
        split_by_category: The features that a tree splits by category.
        linear: Whether a tree has linear models for leaves.
        categorical: The features that were trained as categories.
        pandas: The values of those that were pandas categories, in their order; empty when none was.
    """

    text: str
    header: Mapping[str, str]
    split_by_category: frozenset[int]
    linear: bool
    categorical: tuple[int, ...]
    pandas: tuple[list[object], ...]

    def values(self) -> dict[int, list[object] | None]:
        """By feature that was trained as a category its values, in the order of their codes, where known.

        Raises:
            ModelError: The text lists values, but not for which features.
        """
        if self.pandas and len(self.pandas) != len(self.categorical):
            raise ModelError(
                f"artifact: it lists the values of {len(self.pandas)} pandas categories,"
                f" but has {len(self.categorical)} categorical features",
                hint="Train it with categorical_feature naming every pandas category, and no other column.",
            )
        known = self.pandas or (None,) * len(self.categorical)
        return dict(zip(self.categorical, known, strict=True))


def read_text(content: bytes) -> ModelText:
    """Reads a whole model and checks that its trees are trees.

    Raises:
        DamagedError: With what is wrong.
    """
    try:
        return _read(content)
    except DamagedError:
        raise
    except (KeyError, ValueError, IndexError, OverflowError) as error:
        raise DamagedError(f"it is not laid out as a model: {type(error).__name__} {error}") from error


def _read(content: bytes) -> ModelText:
    text = content.decode()
    _check_landmarks(content)
    head, separator, _ = content.partition(b"\n\n")
    if b"\r" in head or b"\0" in head:
        raise DamagedError("its header has a line that ends otherwise than LightGBM's do")
    header = _fields(head, "its header")
    width = int(header["max_feature_idx"]) + 1
    if not len(header["feature_names"].split()) == len(header["feature_infos"].split()) == width:
        raise DamagedError(f"it does not name {width} features")
    by_category: set[int] = set()
    linear = False
    for number, tree in enumerate(_trees(content, len(head) + len(separator), header["tree_sizes"])):
        by_category |= _check_tree(number, tree, width)
        linear = linear or tree.get("is_linear", "0") != "0"
    categorical = tuple(sorted(by_category | _categorical(text, header, width)))
    return ModelText(text, header, frozenset(by_category), linear, categorical, _pandas(text))


def _categorical(text: str, header: Mapping[str, str], width: int) -> set[int]:
    # A number's entry is its range, as [0:72]; a category's the codes that were seen, as 2:0:1.
    infos = header["feature_infos"].split()
    found = {place for place, info in enumerate(infos) if info[0] != "[" and info != "none"}
    said = re.search(r"^\[categorical_feature: ([0-9,]+)\]$", text, re.MULTILINE)
    if said:
        found |= {int(place) for place in said[1].split(",")}
    if max(found, default=0) >= width:
        raise DamagedError(f"it has a categorical feature beyond the {width} that there are")
    return found


def _pandas(text: str) -> tuple[list[object], ...]:
    _, found, rest = text.rpartition("\npandas_categorical:")
    values = json.loads(rest.partition("\n")[0]) if found else None
    if values is not None and not (isinstance(values, list) and all(isinstance(v, list) for v in values)):
        raise DamagedError("its pandas_categorical is no list of lists")
    return tuple(values or ())


def _check_landmarks(content: bytes) -> None:
    if not content.startswith(b"tree\n"):
        raise DamagedError("it does not begin as one")
    place = 0
    for landmark in _LANDMARKS:
        place = content.find(landmark, place)
        if place < 0:
            raise DamagedError(f"it has no {landmark.decode().strip()!r}, and so is cut short")
    parameters = content.partition(_LANDMARKS[1])[2].partition(_LANDMARKS[2])[0]
    for line in parameters.split(b"\n"):
        if line and not _PARAMETER.fullmatch(line):
            raise DamagedError(f"{line.decode()!r} is no parameter")


def _trees(content: bytes, start: int, sizes: str) -> Iterator[dict[str, str]]:
    """Each tree's fields; LightGBM goes by the sizes that the header gives, so these must be right."""
    for number, size in enumerate(map(int, sizes.split())):
        block = content[start : start + size]
        if size < 1 or not block.startswith(b"Tree=%d\n" % number):
            raise DamagedError(f"tree {number} is not where the text says")
        odd = next((line for line in block.split(b"\n") if line and not _TREE_LINE.fullmatch(line)), None)
        if odd is not None:
            raise DamagedError(f"tree {number} has the line {odd!r}")
        tree = _fields(block, f"tree {number}")
        unknown = [name for name in tree if not _TREE_FIELDS.fullmatch(name)]
        if unknown:
            raise DamagedError(f"tree {number} has the unknown field {unknown[0]}")
        yield tree
        start += size
    if not content.startswith(b"end of trees\n", start):
        raise DamagedError("its trees do not end where the text says")


def _fields(block: bytes, owner: str) -> dict[str, str]:
    """Lines by name; of a name that is repeated, LightGBM may read another than is checked here."""
    found: dict[str, str] = {}
    for line in block.decode().split("\n"):
        name, _, value = line.partition("=")
        if name in found:
            raise DamagedError(f"{owner} repeats the field {name}")
        if name:
            found[name] = value
    return found


def _numbers(tree: Mapping[str, str], name: str, count: int, dtype: Any) -> npt.NDArray[Any]:
    texts = tree.get(name, "").split()
    if len(texts) != count:
        raise DamagedError(f"tree {tree['Tree']} has {len(texts)} values of {name}, not {count}")
    return np.array(texts).astype(dtype) if texts else np.empty(0, dtype)


def _check_tree(number: int, tree: Mapping[str, str], width: int) -> set[int]:
    """The features that the tree splits by category."""
    leaves, categories = int(tree["num_leaves"]), int(tree["num_cat"])
    if leaves < 1 or categories < 0:
        raise DamagedError(f"tree {number} has {leaves} leaves and {categories} splits by category")
    splits = leaves - 1
    for name, count, needed in (
        ("leaf_value", leaves, True),
        ("leaf_weight", leaves, False),
        ("leaf_count", leaves, False),
        ("split_gain", splits, False),
        ("internal_value", splits, False),
        ("internal_weight", splits, False),
        ("internal_count", splits, False),
        ("shrinkage", 1, False),
    ):
        if needed or tree.get(name):
            _numbers(tree, name, count, np.float64)
    thresholds = _numbers(tree, "threshold", splits, np.float64)
    features = _numbers(tree, "split_feature", splits, np.int64)
    decisions = _numbers(tree, "decision_type", splits, np.int64)
    left, right = (_numbers(tree, name, splits, np.int64) for name in ("left_child", "right_child"))
    # A child is a split, or a leaf as its number's complement; each but the root is one child of one node.
    expected = np.array([*range(-leaves, 0), *range(1, splits)])
    if splits and not np.array_equal(np.sort(np.concatenate([left, right])), expected):
        raise DamagedError(f"tree {number} is no tree: a node is no child of another, or of two")
    if splits and not _reaches_all(left, right):
        raise DamagedError(f"tree {number} is no tree: its nodes lead round in a circle")
    if ((features < 0) | (features >= width)).any():
        raise DamagedError(f"tree {number} splits by a feature beyond the {width} that there are")
    if ((decisions < 0) | (decisions >= _KNOWN_DECISIONS)).any():
        raise DamagedError(f"tree {number} has a split of an unknown type")
    by_category = (decisions & _CATEGORICAL) == _CATEGORICAL
    _check_categories(number, tree, categories, thresholds[by_category])
    return set(features[by_category].tolist())


def _reaches_all(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> bool:
    level, reached = np.array([0]), 0
    while len(level):
        reached += len(level)
        level = np.concatenate([left[level], right[level]])
        level = level[level >= 0]
    return reached == len(left)


def _check_categories(
    number: int, tree: Mapping[str, str], count: int, places: npt.NDArray[np.float64]
) -> None:
    if not count:
        if len(places):
            raise DamagedError(f"tree {number} splits by categories that it does not have")
        return
    bounds = _numbers(tree, "cat_boundaries", count + 1, np.int64)
    if bounds[0] != 0 or (np.diff(bounds) < 0).any():
        raise DamagedError(f"tree {number} has sets of categories without an order")
    _numbers(tree, "cat_threshold", int(bounds[-1]), np.int64)
    if ((places < 0) | (places >= count) | (places != np.floor(places))).any():
        raise DamagedError(f"tree {number} splits by a set of categories that it does not have")
