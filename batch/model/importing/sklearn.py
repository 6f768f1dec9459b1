"""scikit-learn models, converted to ONNX where they were trained and checked against the original.

A fitted estimator can be handed over as a Python object only: its own files are pickles, which are never
loaded. So this is a function, called at the end of the program that trains:

    from batch.model.importing.sklearn import import_sklearn
    print(import_sklearn(model, held_out, "models/mine", decision="churn"))
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from batch.model.importing.artifact import Artifact
from batch.model.importing.build import Trained, Wish, build, plain_name
from batch.model.importing.described import Described
from batch.model.importing.facts import Table, look_at, one_batch
from batch.model.importing.gate import ConversionGate, Differences, original_scores
from batch.model.importing.inputs import Found, Known, find_inputs
from shared.errors import ModelError, TandemError
from shared.models.directory import KINDS
from shared.models.libraries import first_line, library
from shared.predict import Predictor
from shared.schema import InputType, Schema

_PROBABILITY_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model.

    Attributes:
        directory: The model directory that was made.
        predictor: The model, loaded from there.
        differences: How its scores differ from the original's on the sample.
    """

    directory: Path
    predictor: Predictor
    differences: Differences

    def __str__(self) -> str:
        return f"{self.directory}: {self.predictor.model.id}, {self.differences}"


def import_sklearn(  # noqa: PLR0913 - all that a person may say of a model
    estimator: Any,
    sample: Any,
    output: Path | str,
    *,
    name: str = "",
    version: str = "1",
    threshold: float | None = None,
    decision: str = "decision",
    key: str | None = None,
    tolerance: float = 0.0,
) -> Converted:
    """Converts a fitted scikit-learn model to ONNX, and makes a model directory of it.

    The conversion is refused when the converted model decides any row of the sample otherwise than the
    original. It is tried in float64 first, and in float32 where ONNX has nothing wider.

    Args:
        estimator: A fitted classifier of two classes, or a regressor; a Pipeline of them too.
        sample: A DataFrame with the columns that the estimator was fitted on, as rows will be scored; the
            inputs' types, categories and missing values are those of its columns. Thousands of rows that
            were not trained on make the best gate.
        output: The model directory to make: new, or empty.
        name: The model's name; unless given, the directory's.
        version: Its version.
        threshold: A score strictly above it makes the decision true; 0.5 unless given, for a classifier.
        decision: The field of a prediction that holds the decision.
        key: The column with the customer's id; unless given, looked for in the sample by name.
        tolerance: A decision may differ where the scores are no further apart than this; 0 allows none.

    Raises:
        ModelError: The model cannot be converted, or does not decide as the original.
        TandemError: The directory or a name cannot be used. In either case nothing was written.
    """
    versions = _versions()
    table = _as_table(sample)
    names = _fitted_names(estimator, table)
    limit = _threshold(estimator, threshold)
    found = _find_inputs(table, names, key)
    # An estimator that was fitted on an array takes no names.
    rows = sample[list(names)] if hasattr(estimator, "feature_names_in_") else sample[list(names)].to_numpy()
    gate = ConversionGate(original_scores(estimator, rows), limit, tolerance)
    directory = Path(output)
    wish = Wish(directory, name or plain_name(directory), version, limit, decision)
    trained = Trained(
        _convert(estimator, found.schema, _by_column(estimator, found.schema)),
        found,
        {"source": f"scikit-learn {type(estimator).__name__}", **versions},
        inferred=True,
    )
    predictor, _ = build(trained, wish, table, gate)
    if gate.found is None:
        raise AssertionError("the gate was not asked")
    return Converted(directory, predictor, gate.found)


def _as_table(sample: Any) -> Table:
    """A DataFrame's columns."""
    if not hasattr(sample, "__arrow_c_stream__") or not hasattr(sample, "columns"):
        raise ModelError(
            f"the sample is a {type(sample).__name__}, not a DataFrame",
            hint="Give a pandas (2.2 or later) or polars DataFrame whose columns have the inputs' names.",
        )
    try:
        arrow = pa.table(sample)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ModelError(
            f"the sample cannot be read as columns: {first_line(error)}",
            hint="Give each column values of one type.",
        ) from error
    if not arrow.num_rows:
        raise ModelError("the sample holds no rows", hint="Give rows that the model can score.")
    return Table("the sample", one_batch(arrow.to_batches()), text=False)


def _fitted_names(estimator: Any, table: Table) -> tuple[str, ...]:
    count = getattr(estimator, "n_features_in_", None)
    if count is None:
        raise ModelError("the model is not fitted", hint="Call its fit method first.")
    fitted = getattr(estimator, "feature_names_in_", None)
    names = tuple(map(str, table.columns if fitted is None else fitted))
    lacking = [name for name in names if name not in table.columns]
    if lacking or len(names) != count:
        what = f"lacks {', '.join(lacking)}" if lacking else f"has {len(names)} columns"
        raise ModelError(
            f"the model was fitted on {count} columns, and the sample {what}",
            hint="Give the columns that it was fitted on, under the same names.",
        )
    return names


def _threshold(estimator: Any, threshold: float | None) -> float:
    if threshold is not None:
        return threshold
    if getattr(estimator, "classes_", None) is None:
        raise ModelError("a regressor has no threshold of its own", hint="Say which: threshold=...")
    return _PROBABILITY_THRESHOLD


def _find_inputs(table: Table, names: Sequence[str], key: str | None) -> Found:
    # A tensor of texts has no nan: a missing text is rejected.
    texts: dict[str, InputType] = {name: "string" for name in names if look_at(table, name).type == "string"}
    return find_inputs(Known(Described(tuple(names), len(names), texts), None, table), key)


def _by_column(estimator: Any, schema: Schema) -> bool:
    """Whether the graph takes a tensor for each input: for texts, and for steps that pick columns by name."""
    if any(feature.type == "category" for feature in schema.features):
        return True
    parts = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    return any(hasattr(part, "transformers") for part in (estimator, *parts))


def _convert(estimator: Any, schema: Schema, by_column: bool) -> Artifact:
    failures = []
    for wide in (True, False):
        try:
            content = _to_onnx(estimator, schema, by_column, wide)
            KINDS["onnx"].load(schema, content)
        except TandemError as error:
            failures.append(error.message)
        except Exception as error:  # noqa: BLE001 - the converter raises whatever its parts do
            failures.append(first_line(error))
        else:
            return Artifact(Path("model.onnx"), "onnx", "ONNX", "model.onnx", content)
    raise ModelError(
        f"{type(estimator).__name__} could not be converted to ONNX: {'; '.join(dict.fromkeys(failures))}",
        hint="skl2onnx's documentation lists what it converts; or train the model with XGBoost or LightGBM.",
    )


def _to_onnx(estimator: Any, schema: Schema, by_column: bool, wide: bool) -> bytes:
    skl2onnx = library("skl2onnx", extra="sklearn")
    types = library("skl2onnx.common.data_types", extra="sklearn")
    number = types.DoubleTensorType if wide else types.FloatTensorType
    features = schema.features
    initial = [("inputs", number([None, len(features)]))]
    if by_column:
        initial = [
            (feature.name, (types.StringTensorType if feature.type == "category" else number)([None, 1]))
            for feature in features
        ]
    # Without zipmap the probabilities are a tensor; with it a list of dictionaries.
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's own making
        graph = skl2onnx.to_onnx(estimator, initial_types=initial, options=options)
    content: bytes = graph.SerializeToString()
    return content


def _versions() -> dict[str, str]:
    """What the provenance says of the libraries.

    Raises:
        ModelError: One of them is not installed.
    """
    return {
        "trained with": f"scikit-learn {library('sklearn', extra='sklearn').__version__}",
        "converted by": f"skl2onnx {library('skl2onnx', extra='sklearn').__version__}",
        "read by": f"onnxruntime {library('onnxruntime', extra='sklearn').__version__}",
    }
