"""`python -m batch model import`: makes a model directory of a trained model, from where people have them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import Field
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from batch.model.importing.artifact import read_artifact, refuse_by_content
from batch.model.importing.build import Trained, Wish, build, plain_name
from batch.model.importing.described import Described, describe
from batch.model.importing.facts import Table, read_table
from batch.model.importing.inputs import Known, find_inputs
from batch.model.importing.mlflow_folder import MlflowFolder, is_mlflow, read_folder
from batch.model.importing.report import show
from batch.model.importing.schema_file import read_schema
from shared.errors import ConfigurationError, ExitCode, ModelError
from shared.settings import CommandSettings, Delimiter, load

_REMOTE: Final = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
_PROBABILITY_THRESHOLD: Final = 0.5


class ImportSettings(CommandSettings):
    """Makes a model directory of a trained model.

    SOURCE is an MLflow model folder (flavors xgboost, lightgbm, onnx), or a file: XGBoost's UBJ or JSON,
    LightGBM's text, ONNX. Inputs come from a signature, a sample or a schema file. For scikit-learn see
    docs/models.md. Pickles are refused.

    Example:
      python -m batch model import model.ubj --sample customers.csv --output models/mine
      python -m batch model import mlruns/0/abc/artifacts/model --output models/mine --decision churn
    """

    # A field must not be called schema: pydantic's models have a method of that name.
    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(cli_shortcuts={"schema-file": "schema"})

    source: CliPositionalArg[str] = Field(description="The model's file, or an MLflow model folder.")
    output: Path = Field(description="The model directory to make: new, or empty.")
    name: str = Field("", description="The model's name; unless given, the output folder's.")
    version: str = Field("", description="Its version; unless given, the MLflow run's, or 1.")
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        None,
        description="A score strictly above it makes the decision true; 0.5 unless given, for a probability.",
    )
    decision: str = Field("decision", description="The field of a prediction that holds the decision.")
    key: str | None = Field(
        None, description="The field with the customer's id; unless given, looked for in the sample by name."
    )
    schema_file: Path | None = Field(
        None, description="Inputs, as in a model.json: they are taken instead of inferred ones."
    )
    sample: Path | None = Field(
        None,
        description="CSV or Parquet with rows as they will be scored: the inputs are inferred from it, it is"
        " scored, and golden rows are chosen from it.",
    )
    delimiter: Delimiter = Field(
        ",", description="What separates the fields of a CSV sample: one character, or the word tab."
    )
    description: str = Field("", description="For people.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: The source is refused; nothing was written.
    """
    settings = load(ImportSettings, arguments, "python -m batch model import")
    table = read_table(settings.sample, settings.delimiter) if settings.sample else None
    trained, described = read_trained(settings, table)
    wish = make_wish(settings, trained, described)
    predictor, check = build(trained, wish, table)
    show(predictor, trained, described, check, settings.output)
    return ExitCode.DONE


def read_trained(settings: ImportSettings, table: Table | None) -> tuple[Trained, Described]:
    """Reads the source, and finds or reads its inputs.

    Args:
        settings: What to import.
        table: The sample.

    Returns:
        The trained model, and what its file says of itself.

    Raises:
        ModelError: The source is refused, or does not fit its inputs.
        InputError: The schema file cannot be used.
    """
    folder = _read_source(settings.source)
    described = describe(folder.artifact)
    if settings.schema_file is not None:
        found = read_schema(settings.schema_file, settings.key, described)
    else:
        found = find_inputs(Known(described, folder.fields, table), settings.key)
    provenance = {**folder.provenance, "form": folder.artifact.form}
    if described.objective:
        provenance["objective"] = described.objective
    provenance |= described.versions
    return Trained(folder.artifact, found, provenance, inferred=settings.schema_file is None), described


def make_wish(settings: ImportSettings, trained: Trained, described: Described) -> Wish:
    """What to make, with what was not said filled in.

    Raises:
        ConfigurationError: The score is no probability, and no threshold was given.
    """
    threshold = settings.threshold
    if threshold is None:
        if not described.probability:
            raise ConfigurationError(
                f"--threshold: needed, as the score is not a probability (objective {described.objective})",
                hint="A score strictly above it will make the decision true.",
            )
        threshold = _PROBABILITY_THRESHOLD
    run = trained.provenance.get("mlflow run_id") or trained.provenance.get("mlflow model_uuid")
    return Wish(
        output=settings.output,
        name=settings.name or plain_name(settings.output),
        version=settings.version or (run or "1")[:12],
        threshold=threshold,
        decision=settings.decision,
        description=settings.description,
    )


def _read_source(source: str) -> MlflowFolder:
    path = Path(source)
    if _REMOTE.match(source) and not path.exists():
        raise ModelError(
            f"{source}: only files and folders of this machine are read",
            hint=f"Download it first: mlflow artifacts download --artifact-uri {source} --dst-path model",
        )
    if is_mlflow(path):
        return read_folder(path)
    if path.is_dir():
        below = next((item.parent for item in sorted(path.glob("*/MLmodel"))), None)
        if below:
            raise ModelError(f"{path}: no MLmodel is in it", hint=f"Did you mean {below}?")
        refuse_by_content(path, b"")
        raise ModelError(
            f"{path}: a folder without MLmodel is no MLflow model",
            hint="Give the folder that MLmodel is in, or the model's file.",
        )
    artifact = read_artifact(path)
    return MlflowFolder(artifact, None, {"source": path.name})
