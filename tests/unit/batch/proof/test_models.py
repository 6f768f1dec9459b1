"""The models of a proof: read from directories and folders, and known by id and digest."""

import shutil
from pathlib import Path

import pytest

from batch.proof.models import Models
from shared.errors import ModelError
from tests.support.models import change_model, linear_model, threshold_model


def test_a_folder_of_models_and_a_model_alone(tmp_path: Path) -> None:
    linear_model(tmp_path / "folder" / "b")
    threshold_model(tmp_path / "folder" / "a")
    (tmp_path / "folder" / "notes.txt").write_text("no model")
    third = threshold_model(tmp_path / "third", name="third")
    models = Models.load([tmp_path / "folder", third])
    assert [model.id for model in models] == ["threshold@1", "linear@2", "third@1"]
    assert models.first.id == "threshold@1"


def test_the_same_model_twice_is_one(tmp_path: Path) -> None:
    first = threshold_model(tmp_path / "first")
    shutil.copytree(first, tmp_path / "again")
    change_model(tmp_path / "again", description="Of the same bits.")
    assert len(list(Models.load([first, tmp_path / "again"]))) == 1


def test_two_models_of_an_id_are_told_apart_by_their_digest(tmp_path: Path) -> None:
    paths = [threshold_model(tmp_path / str(t), threshold=t) for t in (0.5, 0.6)]
    models = Models.load(paths)
    found = models.of_id("threshold@1")
    assert [model.threshold for model in found] == [0.5, 0.6]
    for model in found:
        assert models.model(model.id, model.short_sha256) is model
    assert models.model("threshold@1", "0" * 12) is None
    assert models.of_id("threshold@2") == []


def test_a_predictor_is_made_once_for_each_number_of_contributions(tmp_path: Path) -> None:
    models = Models.load([linear_model(tmp_path / "linear")])
    plain, explained = (models.predictor(models.first, count) for count in (None, 2))
    assert plain is models.predictor(models.first)
    assert plain is not explained is models.predictor(models.first, 2)
    outcome = explained.score_one(
        {"customer_id": 1, "tenure": 3, "charges": 70.35, "partner": True, "contract": "monthly"}
    )
    assert outcome.explanations is not None
    assert outcome.explanations.inputs.shape == (1, 2)


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"empty: neither a model nor a folder of models") as refused:
        Models.load([tmp_path / "empty"])
    assert "--model" in (refused.value.hint or "")


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.json found there"):
        Models.load([tmp_path / "nowhere"])
