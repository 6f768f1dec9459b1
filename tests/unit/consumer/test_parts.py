"""Settings, start-up checks, the budget and instance names."""

from pathlib import Path

import pytest

from consumer.budget import MOST_BATCHES, Budget
from consumer.inbox import Inbox
from consumer.settings import ConsumerSettings
from consumer.startup import check_topics
from consumer.workers.instance import claim
from shared.dead_letters import MAX_HEADER_BYTES
from shared.errors import ConfigurationError
from shared.kafka.topics import TopicInfo
from shared.settings import load
from tests.support.memory import lesson_columns


def settings(*arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", "models/threshold", *arguments], "python -m consumer")


def topics(**changed: TopicInfo | None) -> dict[str, TopicInfo | None]:
    room = {"max.message.bytes": str(1_000_000 + MAX_HEADER_BYTES)}
    return {
        "customers": TopicInfo("customers", 6, {"max.message.bytes": "1000000"}),
        "predictions": TopicInfo("predictions", 6, room),
        "dead-letters": TopicInfo("dead-letters", 6, room),
    } | {name.replace("_", "-"): topic for name, topic in changed.items()}


def test_exactly_once_is_the_default() -> None:
    assert settings().guarantee == "exactly-once"


@pytest.mark.parametrize("option", ["--output-topic", "--dead-letter-topic"])
def test_reading_its_own_output_is_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match="the topics must differ"):
        settings(option, "customers")


@pytest.mark.parametrize("topic", ["customers", "predictions", "dead-letters"])
def test_a_shadows_topic_is_none_of_the_others(topic: str) -> None:
    assert settings("--shadow-topic", topic).written_topics == ("predictions", "dead-letters")
    with pytest.raises(ConfigurationError, match="the topics must differ"):
        settings("--shadow", "models/churn", "--shadow-topic", topic)


def test_a_log_level_may_be_written_in_any_case() -> None:
    assert settings("--log-level", "WARNING").log_level == "warning"


def test_the_help_shows_every_choice_as_it_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings("--help")
    said = capsys.readouterr().out
    for choices in ("{exactly-once,at-least-once}", "{debug,info,warning,error}", "] --model PATH ["):
        assert choices in said


def test_an_unknown_guarantee_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"--guarantee.*'exactly-once' or 'at-least-once'"):
        settings("--guarantee", "at-most-once")


def test_topics_that_fit_each_other_pass() -> None:
    check_topics(settings(), topics())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"predictions": None}, "there is no topic predictions"),
        (
            {"predictions": TopicInfo("predictions", 3, {})},
            "predictions has 3 partitions, but customers has 6",
        ),
        (
            {"dead_letters": TopicInfo("dead-letters", 6, {"max.message.bytes": "1000000"})},
            f"Set max.message.bytes={1_000_000 + MAX_HEADER_BYTES} on topic dead-letters",
        ),
    ],
)
def test_topics_that_do_not_fit_are_refused_with_what_to_change(
    changed: dict[str, TopicInfo | None], said: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        check_topics(settings(), topics(**changed))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        (None, "there is no topic shadow-predictions"),
        (TopicInfo("shadow-predictions", 3, {}), "shadow-predictions has 3 partitions, but customers has 6"),
        (TopicInfo("shadow-predictions", 6, {"max.message.bytes": "1000000"}), "on topic shadow-predictions"),
    ],
)
def test_a_shadows_topic_must_fit_like_the_output_topic(topic: TopicInfo | None, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        check_topics(settings("--shadow", "models/churn"), topics(shadow_predictions=topic))
    assert said in str(error.value)


def test_a_batch_grows_to_its_bound_while_scoring_is_quick() -> None:
    budget, sizes = Budget(25_000, 1.0), []
    for _ in range(8):
        sizes.append(budget.events)
        budget.scored(budget.events, budget.events / 200_000)
    assert sizes == [64, 256, 1024, 4096, 16384, 25_000, 25_000, 25_000]


def test_a_slow_model_shrinks_the_batch_to_what_its_time_allows() -> None:
    budget = Budget(25_000, 1.0)
    budget.scored(64, 6.4)
    assert budget.events == 10
    budget.scored(10, 50.0)
    assert budget.events == 1


def test_polls_give_about_what_a_batch_takes() -> None:
    budget = Budget(1_000, 10)
    budget.scored(1_000, 1e-6)
    for _ in range(20):
        budget.polled(budget.batches * 80)
        budget.scored(1_000, 1e-6)
    assert 500 <= budget.batches * 80 <= 2_000


def test_a_quiet_topic_lets_a_poll_take_more() -> None:
    budget = Budget(1_000, 10)
    for _ in range(20):
        budget.polled(1)
    assert budget.batches == MOST_BATCHES


def test_an_inbox_gives_each_partition_in_order_and_loses_nothing() -> None:
    inbox = Inbox()
    inbox.add([lesson_columns(0, 0, b"a", b"b", b"c"), lesson_columns(1, 7, b"x")])
    inbox.add([lesson_columns(0, 3, b"d")])
    taken = []
    while inbox:
        taken.append([(columns.partition, columns.offsets) for columns in inbox.take(2)])
    assert taken == [[(0, [0, 1])], [(0, [2, 3])], [(1, [7])]]


def test_what_is_taken_commits_only_itself_and_keeps_its_headers() -> None:
    inbox, columns = Inbox(), lesson_columns(0, 0, b"a", b"b", b"c")
    columns.offsets, columns.next_offset = [0, 4, 9], 12
    columns.headers = {2: [("name", b"value")]}
    inbox.add([columns])
    [first], [rest] = inbox.take(1), inbox.take(5)
    assert (first.next_offset, rest.next_offset) == (1, 12)
    assert (first.headers, rest.headers) == ({}, {1: [("name", b"value")]})


def test_a_link_in_the_common_folder_is_not_followed(tmp_path: Path) -> None:
    with claim("group", "host", tmp_path):
        (lock,) = tmp_path.iterdir()
    target = tmp_path / "target"
    lock.unlink()
    lock.symlink_to(target)
    with claim("group", "host", tmp_path) as name:
        assert name == "host-1"
    assert not target.exists()


def test_instances_on_one_host_get_different_names_and_a_restarted_one_its_own_again(tmp_path: Path) -> None:
    with claim("group", "host", tmp_path) as first, claim("group", "host", tmp_path) as second:
        assert (first, second) == ("host-0", "host-1")
        with claim("other group", "host", tmp_path) as other:
            assert other == "host-0"
    with claim("group", "host", tmp_path) as again:
        assert again == "host-0"
