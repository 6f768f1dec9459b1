"""What the producer is told, by flags and by variables."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from producer.settings import ProducerSettings
from producer.sources import open_source
from shared.errors import ConfigurationError
from shared.models.shipped import shipped_model
from shared.predict import Predictor
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lesson", "--customers", "5"], "--customers is for made-up customers"),
        (["rows.csv", "--span", "7d"], "--span is for made-up customers"),
        (["--from", "2026-03-02T00:00:00Z"], "give --span too"),
        (["--span", "7d", "--count", "0"], "give a --count other than 0"),
        (["--span", "7"], "a length of time such as"),
        (["--span", "7d", "--from", "2026-03-02T00:00:00"], "timezone"),
        (["--customers", "0"], "--customers"),
    ],
)
def test_what_is_for_made_up_customers_is_refused_where_it_says_nothing(
    arguments: list[str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(ProducerSettings, arguments, "python -m producer")


def test_made_up_customers_return_over_a_span_as_they_are_told_to() -> None:
    arguments = ["--count", "100", "--customers", "5", "--span", "1d", "--from", "2026-03-02T00:00:00Z"]
    settings = load(ProducerSettings, arguments, "python -m producer")
    predictor = Predictor.load(settings.model_directory)
    source = open_source(settings, predictor)
    events = [json.loads(message.value or b"") for message in source.messages]
    assert (len(events), source.total) == (100, 100)
    assert len({event["customerID"] for event in events}) == 5
    assert {event["occurred_at"][:10] for event in events} == {"2026-03-02"}
    # The same command sends the same bytes again.
    again = open_source(settings, predictor)
    assert [json.loads(message.value or b"") for message in again.messages] == events


def test_a_span_without_a_beginning_ends_now() -> None:
    settings = load(ProducerSettings, ["--count", "50", "--span", "1d"], "python -m producer")
    messages = open_source(settings, Predictor.load(settings.model_directory)).messages
    times = [datetime.fromisoformat(json.loads(message.value or b"")["occurred_at"]) for message in messages]
    now = datetime.now(UTC)
    assert now - timedelta(days=1, minutes=5) < times[0] < times[-1] <= now
