"""The client's errors, in Tandem's words."""

import pytest
from kafka import errors as client

from shared.errors import ConfigurationError, ExitCode, FencedError, InputError
from shared.kafka.errors import (
    BrokerRefusedError,
    BrokerTroubleError,
    RecordTooLargeError,
    StaleGroupError,
    TransactionAbortedError,
    translated,
)


@pytest.mark.parametrize(
    ("raised", "meant"),
    [
        (client.ProducerFencedError(), FencedError),
        (client.InvalidProducerEpochError(), FencedError),
        (client.FencedInstanceIdError(), FencedError),
        (client.CommitFailedError(), StaleGroupError),
        (client.IllegalGenerationError(), StaleGroupError),
        (client.UnknownMemberIdError(), StaleGroupError),
        (client.RebalanceInProgressError(), StaleGroupError),
        (client.TransactionAbortedError(), TransactionAbortedError),
        (client.OutOfOrderSequenceNumberError(), TransactionAbortedError),
        (client.KafkaTimeoutError("slow"), BrokerTroubleError),
        (client.KafkaConnectionError("gone"), BrokerTroubleError),
        (client.NotLeaderForPartitionError(), BrokerTroubleError),
        (client.SaslAuthenticationFailedError("who"), ConfigurationError),
        (client.TopicAuthorizationFailedError("topic"), ConfigurationError),
        (client.KafkaConfigurationError("no"), ConfigurationError),
        (client.CorruptRecordError("bytes"), InputError),
        (client.KafkaError("odd"), BrokerRefusedError),
    ],
)
def test_each_error_of_the_client_has_one_meaning(raised: Exception, meant: type[Exception]) -> None:
    with pytest.raises(meant) as caught, translated("testing"):
        raise raised
    assert type(caught.value) is meant
    assert caught.value.__cause__ is raised
    assert "testing" in str(caught.value)


@pytest.mark.parametrize(
    ("cause", "meant"),
    [
        (client.ProducerFencedError(), FencedError),
        (client.CommitFailedError(), StaleGroupError),
        (client.MessageSizeTooLargeError(), TransactionAbortedError),
    ],
)
def test_a_transaction_that_failed_before_is_told_by_its_first_cause(
    cause: Exception, meant: type[Exception]
) -> None:
    later = client.KafkaError(
        f"Cannot execute transactional method because we are in an error state: {cause}"
    )
    with pytest.raises(meant), translated("testing"):
        raise later


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), translated("testing"):
        raise ZeroDivisionError


def test_a_codec_that_cannot_be_read_is_told_with_what_to_install() -> None:
    with (
        pytest.raises(ConfigurationError, match=r"compressed in a way.*zstd") as caught,
        translated("reading"),
    ):
        raise client.UnsupportedCodecError("Libraries for zstd compression codec not found")
    assert "requirements.lock" in str(caught.value)


def test_exit_codes_say_what_to_do_next() -> None:
    assert BrokerRefusedError("x").exit_code == ExitCode.FENCED_OR_STALLED
    assert RecordTooLargeError("topic", 0).exit_code == ExitCode.USAGE


def test_a_record_too_large_names_its_row_and_the_limit() -> None:
    error = RecordTooLargeError("out", 3, row=7, size=20_000, limit=10_000)
    assert error.message == (
        "Record 7 of the batch of 20,000 bytes is too large for topic 'out', partition 3,"
        " which takes 10,000 bytes."
    )
