"""What the producer is told, by flags and by variables."""

from pathlib import Path

import pytest

from producer.settings import ProducerSettings
from shared.models.shipped import shipped_model
from shared.settings import load


def model_of(*arguments: str) -> Path:
    return load(ProducerSettings, arguments, "python -m producer").model_directory


def test_the_model_is_the_one_that_is_named_or_the_one_that_made_up_customers_are_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TANDEM_MODEL", raising=False)
    assert model_of() == shipped_model("churn")
    assert model_of("--model", "mine") == Path("mine")


def test_the_lesson_has_its_own_model_whatever_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MODEL", "models/churn")
    assert model_of("--lesson") == shipped_model("threshold")
