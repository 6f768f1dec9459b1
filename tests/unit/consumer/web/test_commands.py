"""The commands that the page gives run as they stand, and mean the consumer that serves the page."""

import shlex
from pathlib import Path
from typing import Any, TypeVar

import pytest

from batch.proof.settings import ProveSettings
from consumer.dead_letters.settings import ShowSettings
from consumer.settings import ConsumerSettings
from consumer.web.commands import commands_of
from consumer.web.state import Commands
from producer.settings import ProducerSettings
from producer.sources import open_source
from shared.predict import Predictor
from shared.settings import CommandSettings, load
from tests.support.models import linear_model

NAMES = {
    "input_topic": "lesson",
    "output_topic": "answers",
    "dead_letter_topic": "rejects",
    "group": "a team's group",
}
S = TypeVar("S", bound=CommandSettings)


def commands(model: str | Path = "models/churn", **named: str) -> Commands:
    options = [word for name, value in named.items() for word in (f"--{name.replace('_', '-')}", value)]
    return commands_of(load(ConsumerSettings, ["--model", str(model), *options], "python -m consumer"))


def understood(settings: type[S], command: str, program: str, *more: str) -> S:
    """What a command takes it for when it is run in a shell."""
    words = shlex.split(command)
    assert words[: len(program.split())] == program.split()
    return load(settings, [*words[len(program.split()) :], *more], program)


@pytest.mark.parametrize("named", [{}, NAMES], ids=["defaults", "others"])
def test_each_command_means_the_topics_and_the_group_of_the_consumer(named: dict[str, Any]) -> None:
    given = commands(**named)
    consumer = load(ConsumerSettings, ["--model", "models/churn"], "").model_copy(update=named)
    sends = understood(ProducerSettings, given.send, "python -m producer")
    assert sends.topic == consumer.input_topic
    proves = understood(ProveSettings, given.prove, "python -m batch prove")
    assert {name: getattr(proves, name) for name in NAMES} == {
        name: getattr(consumer, name) for name in NAMES
    }
    shows = understood(ShowSettings, given.show_letter, "python -m consumer dead-letters show", "lesson/0/7")
    assert (shows.dead_letter_topic, shows.position) == (consumer.dead_letter_topic, "lesson/0/7")


def test_what_is_the_default_is_not_said() -> None:
    assert commands() == Commands(
        send="python -m producer --count 10000 --rate 200",
        prove="python -m batch prove --model FOLDER --report proof",
        show_letter="python -m consumer dead-letters show",
    )


@pytest.mark.parametrize("model", ["models/threshold", "models/churn", "models/churn-linear"])
def test_the_model_scores_the_events_that_are_sent(model: str) -> None:
    sent = understood(ProducerSettings, commands(model).send, "python -m producer", "--count", "5")
    events = [
        bytes(message.value or b"")
        for message in open_source(sent, Predictor.load(sent.model_directory)).messages
    ]
    assert len(events) == 5
    assert Predictor.load(Path(model)).score_json(events).rejections == ()


def test_a_model_that_takes_no_made_up_events_is_sent_rows(tmp_path: Path) -> None:
    wanted = "python -m producer FILE --model FOLDER --topic lesson"
    assert commands(linear_model(tmp_path / "own"), input_topic="lesson").send == wanted
    assert commands(tmp_path / "none", input_topic="lesson").send == wanted
