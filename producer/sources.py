"""What is sent: the lesson, made-up customers or a file, with malformed events mixed in."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from producer.generate import Customer, churn_customers, lesson_events, over_time, returning_customers
from producer.malformed import TOO_LARGE_BYTES, kinds_for, malformed_messages, mixed
from producer.message import Message, from_event
from producer.rows import FileRows
from producer.settings import DEFAULT_COUNT, ProducerSettings
from shared.errors import ConfigurationError
from shared.kafka.topics import TopicInfo
from shared.models.directory import Model
from shared.predict import Predictor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Messages, and what is known of them.

    Attributes:
        messages: What to send.
        total: How many there will be, if that is known.
        rows: The file that they come from, if they do.
    """

    messages: Iterator[Message]
    total: int | None
    rows: FileRows | None


def open_source(settings: ProducerSettings, predictor: Predictor) -> Source:
    """The sound events that the settings ask for.

    Raises:
        ConfigurationError: The made-up events are not what the model takes.
        InputError: The file cannot be read.
    """
    schema = predictor.model.schema
    if settings.file is not None:
        rows = FileRows(settings.file, schema, settings.ignore_case, settings.delimiter)
        rows.check()
        return Source(_first(iter(rows), settings.count), None, rows)
    if settings.lesson:
        lesson = [from_event(event, schema.key) for event in lesson_events()]
        return Source(_first(iter(lesson), settings.count), None, None)
    count = DEFAULT_COUNT if settings.count is None else settings.count
    _check(predictor, from_event(next(_made_up(settings, count)).event, schema.key))
    messages = (from_event(customer.event, schema.key) for customer in _made_up(settings, count))
    return Source(_first(messages, count), count or None, None)


def _made_up(settings: ProducerSettings, count: int) -> Iterator[Customer]:
    """The made-up customers that the settings ask for."""
    customers = (
        churn_customers(settings.seed)
        if settings.customers is None
        else returning_customers(settings.seed, settings.customers)
    )
    if settings.span is None:
        return customers
    span = timedelta(seconds=settings.span)
    start = datetime.now(UTC) - span if settings.start is None else settings.start
    return over_time(customers, settings.seed, start, span, count)


def with_malformed(source: Source, settings: ProducerSettings, model: Model, topic: TopicInfo) -> Source:
    """The source with malformed events mixed in, as far as the settings ask for them.

    Args:
        source: From `open_source`.
        settings: With the ratio and the kinds.
        model: Whose golden rows are spoilt.
        topic: Where they go; an event too large for it is left out unless it was asked for by name.

    Raises:
        ConfigurationError: A kind is unknown, or does not exist for this model.
    """
    if not settings.bad_ratio:
        return source
    kinds = kinds_for(model.schema, [name.strip() for name in settings.bad_kinds.split(",") if name.strip()])
    if not settings.bad_kinds and topic.max_message_bytes < TOO_LARGE_BYTES:
        logger.info(
            "No malformed events of the kind too-large: topic %s takes at most %s bytes (max.message.bytes)",
            *(topic.name, f"{topic.max_message_bytes:,}"),
        )
        del kinds["too-large"]
    malformed = malformed_messages(model, kinds, settings.seed)
    messages = mixed(source.messages, malformed, settings.bad_ratio, settings.seed)
    return Source(_first(messages, source.total or settings.count), source.total, source.rows)


def _first(messages: Iterator[Message], count: int | None) -> Iterator[Message]:
    return itertools.islice(messages, count) if count else messages


def _check(predictor: Predictor, message: Message) -> None:
    """Sees that a made-up event is what the model takes, before a topic is filled with rejects."""
    for rejection in predictor.score_json([message.value]).rejections:
        raise ConfigurationError(
            f"{predictor.model.id} does not take made-up churn customers: {rejection.detail}",
            hint="Leave --model out, or send rows of your own: python -m producer FILE --model ...",
        )
