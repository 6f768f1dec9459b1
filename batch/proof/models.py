"""The models that a proof has at hand, by what is stamped on predictions and dead letters."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from shared.errors import ModelError
from shared.models.base import NotExplainableError
from shared.models.directory import MODEL_FILE, Model
from shared.predict import Predictor


class Models:
    """Models to score again with, each known by its id and digest."""

    def __init__(self, models: Iterable[Model]) -> None:
        """Use `load` to read directories with their golden rows checked.

        Args:
            models: At least one; of two that are the same the first is taken.
        """
        self._models: dict[tuple[str, str], Model] = {}
        for model in models:
            self._models.setdefault((model.id, model.short_sha256), model)
        self._predictors: dict[tuple[str, str, int | None], Predictor] = {}
        self._directories: dict[tuple[str, str], Path] = {}

    @classmethod
    def load(cls, directories: Sequence[Path]) -> Self:
        """Reads models.

        Args:
            directories: Each is a model's directory, or a folder of such.

        Raises:
            ModelError: One is no valid model, or a folder holds none.
        """
        found = [model for directory in directories for model in _model_directories(directory)]
        read = {directory: Predictor.load(directory).model for directory in found}
        models = cls(read.values())
        for directory, model in read.items():
            models._directories.setdefault((model.id, model.short_sha256), directory)
        return models

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def model(self, model_id: str, short_sha256: str) -> Model | None:
        """The model of this id and of these 12 hex digits; None when it is not at hand."""
        return self._models.get((model_id, short_sha256))

    def directory(self, model: Model) -> Path:
        """Where a model was loaded from."""
        return self._directories[model.id, model.short_sha256]

    def of_id(self, model_id: str) -> list[Model]:
        """All models of this id: a dead letter does not say which of them it was."""
        return [model for (name, _), model in self._models.items() if name == model_id]

    @property
    def first(self) -> Model:
        """The one that was named first."""
        return next(iter(self._models.values()))

    def predictor(self, model: Model, explain: int | None = None) -> Predictor:
        """What scores as the stream did.

        Args:
            model: One of these.
            explain: How many contributions its predictions have; None: none. A model whose kind has none is
                not explained: predictions that have some are not its own.
        """
        key = (model.id, model.short_sha256, explain)
        if key not in self._predictors:
            self._predictors[key] = _predictor(model, explain)
        return self._predictors[key]


def _predictor(model: Model, explain: int | None) -> Predictor:
    try:
        return Predictor(model, explain=explain)
    except NotExplainableError:
        return Predictor(model)


def _model_directories(directory: Path) -> list[Path]:
    """The directory itself, or those in it, in the order of their names."""
    if (directory / MODEL_FILE).exists() or not directory.is_dir():
        return [directory]
    found = sorted(file.parent for file in directory.glob(f"*/{MODEL_FILE}"))
    if not found:
        raise ModelError(
            f"{directory}: neither a model nor a folder of models: no {MODEL_FILE} is there or a level down",
            hint="Give --model a model's directory, or the folder that holds such directories.",
        )
    return found
