"""A replay's settings, topics, and what it says at its end."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from consumer.__main__ import COMMANDS
from consumer.dead_letters.letters import Letter
from consumer.dead_letters.replay import as_json, check_topics, run
from consumer.dead_letters.replayer import Result
from consumer.dead_letters.selection import Left
from consumer.dead_letters.settings import ReplaySettings
from shared.errors import ConfigurationError, ExitCode
from shared.kafka.topics import TopicInfo
from shared.settings import load
from shared.stop import Stop
from tests.support.letters import letter

LETTERS, OUTPUT = TopicInfo("dead-letters", 6, {}), TopicInfo("predictions", 6, {})
LOG = TopicInfo("dead-letters-replayed", 6, {"cleanup.policy": "compact"})


def settings(*arguments: str) -> ReplaySettings:
    return load(ReplaySettings, ["--model", "models/threshold", *arguments], "replay")


def topics(**changed: TopicInfo | None) -> dict[str, TopicInfo | None]:
    found = {topic.name: topic for topic in (LETTERS, OUTPUT, LOG)}
    return found | {name.replace("_", "-"): topic for name, topic in changed.items()}


def test_topics_that_fit_pass_and_a_log_whose_settings_are_not_shown() -> None:
    assert check_topics(settings(), topics()) == 6
    assert check_topics(settings(), topics(dead_letters_replayed=TopicInfo(LOG.name, 6, {}))) == 6


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (topics(dead_letters=None), "there is no topic dead-letters"),
        (topics(predictions=None), "there is no topic predictions"),
        (topics(dead_letters_replayed=None), "--create-topics"),
        (topics(predictions=TopicInfo("predictions", 5, {})), "predictions has 5 partitions"),
        (topics(dead_letters_replayed=TopicInfo(LOG.name, 1, {})), "dead-letters-replayed has 1 partitions"),
        (
            topics(dead_letters_replayed=TopicInfo(LOG.name, 6, {"cleanup.policy": "delete"})),
            "forgets what was replayed",
        ),
    ],
)
def test_topics_that_do_not_fit_are_refused(found: dict[str, TopicInfo | None], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_topics(settings(), found)
    assert told in str(refused.value)


@pytest.mark.parametrize("option", ["--create-topics", "--dry-run"])
def test_the_log_may_be_missing_when_it_is_created_or_nothing_is_written(option: str) -> None:
    assert check_topics(settings(option), topics(dead_letters_replayed=None)) == 6


@pytest.mark.parametrize("option", ["--output-topic", "--dead-letter-topic", "--replay-topic"])
def test_topics_that_are_the_same_are_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match="the topics must differ"):
        settings(option, "customers")


class Taken:
    """A replay that notes what it is given, and is told to stop after the first batch."""

    def __init__(self, stop: Stop | None, limit: int = 1_000) -> None:
        self.sizes: list[int] = []
        self._stop = stop
        self._limit = limit

    @property
    def done(self) -> bool:
        return sum(self.sizes) >= self._limit

    def replay(self, letters: Sequence[Letter]) -> None:
        self.sizes.append(len(letters))
        if self._stop is not None:
            self._stop.request()


class Given:
    """Two polls of letters."""

    share = 0.5

    def read(self) -> Iterator[list[Letter]]:
        yield [letter(b"x", offset) for offset in range(5)]
        yield [letter(b"x", offset) for offset in range(3)]


@pytest.mark.parametrize(
    ("stopped", "limit", "sizes"),
    [(False, 1_000, [2, 2, 1, 2, 1]), (True, 1_000, [2]), (False, 5, [2, 2, 1])],
)
def test_letters_are_replayed_in_batches_until_a_signal_or_the_limit(
    stopped: bool, limit: int, sizes: list[int]
) -> None:
    stop = Stop()
    taken: Any = Taken(stop if stopped else None, limit)
    given: Any = Given()
    run(settings("--batch-events", "2"), taken, given, stop)
    assert taken.sizes == sizes


def test_a_result_for_a_machine_has_these_names() -> None:
    result = Result(Counter({("not_json", "scored"): 2}), Counter({Left.FILTERED: 3, Left.GONE: 0}), 1)
    assert as_json(result, dry_run=True, ended_early=False) == {
        "dry_run": True,
        "ended_early": False,
        "replayed": 2,
        "scored": 2,
        "rejected_again": 0,
        "changes": [{"before": "not_json", "after": "scored", "letters": 2}],
        "left_alone": {"filtered": 3},
        "not_letters": 1,
    }


def test_the_help_shows_what_is_typed_for_a_filter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings("--help")
    said = capsys.readouterr().out
    assert all(shown in said for shown in ("[--partition N]", "[--field TEXT]", "[--reason {tombstone,"))
    assert "default factory" not in said


def test_the_commands_are_told_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        COMMANDS["dead-letters"]([])
    assert ended.value.code == ExitCode.USAGE
    said = capsys.readouterr().err
    assert all(f"  {name} " in said for name in ("list", "show", "replay"))
