"""What the producer is told, by flags and by variables."""

from pathlib import Path

import pytest

from producer.settings import ProducerSettings
from shared.errors import ConfigurationError
from shared.models.shipped import shipped_model
from shared.settings import load


@pytest.mark.parametrize(("given", "meant"), [("tab", "\t"), (";", ";")])
def test_the_delimiter_can_be_said_as_in_batch(given: str, meant: str) -> None:
    assert load(ProducerSettings, ["--delimiter", given], "python -m producer").delimiter == meant


def test_the_level_of_the_log_is_one_of_a_list() -> None:
    said = "--log-level or TANDEM_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"
    with pytest.raises(ConfigurationError, match=said):
        load(ProducerSettings, ["--log-level", "loud"], "python -m producer")
    assert load(ProducerSettings, ["--log-level", "WARNING"], "python -m producer").log_level == "warning"


def model_of(*arguments: str) -> Path:
    return load(ProducerSettings, arguments, "python -m producer").model_directory


def test_the_model_is_the_one_that_is_named_or_the_one_that_made_up_customers_are_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TANDEM_MODEL", raising=False)
    assert model_of() == shipped_model("churn-linear")
    assert model_of("--model", "mine") == Path("mine")


def test_the_lesson_has_its_own_model_whatever_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MODEL", "models/churn")
    assert model_of("--lesson") == shipped_model("threshold")
