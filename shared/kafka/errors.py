"""What can go wrong at the broker, in Tandem's own words, so that nobody else imports the client's errors.

A `RecoverableError` means: abort the transaction, go back to the committed offsets, go on; where nobody can,
it ends the command with a sentence, as every other error here does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from kafka import errors as client

from shared.errors import ConfigurationError, ExitCode, FencedError, InputError, TandemError


class RecoverableError(TandemError):
    """The step failed and nothing of it counts: abort, rewind to the committed offsets, go on.

    Where there is nothing to go on with, as before the first event, it ends the command like a broker
    that does not answer.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BROKER_UNREACHABLE

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="See that all brokers are up, then start again.")


class StaleGroupError(RecoverableError):
    """The consumer group has moved on: these partitions may already belong to another member."""


class TransactionAbortedError(RecoverableError):
    """The open transaction cannot be committed any more."""


class BrokerTroubleError(RecoverableError):
    """The broker did not answer, or asked to try again; nothing is known to be wrong with the request."""


class RecordTooLargeError(ConfigurationError):
    """One record is larger than its topic allows.

    Args:
        topic: Where the record should have gone.
        partition: The partition of that topic.
        row: Index of the record within the `NewRecords` that held it; None when only the broker knows.
        size: Bytes of the record or record batch; None when only the broker knows.
        limit: Bytes that one record batch may have; None when only the broker knows.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        row: int | None = None,
        size: int | None = None,
        limit: int | None = None,
    ) -> None:
        what = "A record batch" if row is None else f"Record {row} of the batch"
        of_size = "" if size is None else f" of {size:,} bytes"
        allowed = "" if limit is None else f", which takes {limit:,} bytes"
        super().__init__(
            f"{what}{of_size} is too large for topic {topic!r}, partition {partition}{allowed}.",
            hint=f"Raise max.message.bytes of topic {topic!r}, or send smaller events.",
        )
        self.topic = topic
        self.partition = partition
        self.row = row
        self.size = size
        self.limit = limit


class BrokerRefusedError(TandemError):
    """The broker refused a request for a reason that trying again does not change."""

    exit_code: ClassVar[ExitCode] = ExitCode.FENCED_OR_STALLED


_FENCED = (client.ProducerFencedError, client.InvalidProducerEpochError, client.FencedInstanceIdError)
_STALE = (
    client.CommitFailedError,
    client.IllegalGenerationError,
    client.UnknownMemberIdError,
    client.RebalanceInProgressError,
)
_ABORTED = (
    client.TransactionAbortedError,
    client.TransactionAbortableError,
    client.OutOfOrderSequenceNumberError,
    client.UnknownProducerIdError,
    client.InvalidProducerIdMappingError,
    client.InvalidTxnStateError,
)
_NOT_ALLOWED = (
    client.AuthorizationError,
    client.TopicAuthorizationFailedError,
    client.GroupAuthorizationFailedError,
    client.ClusterAuthorizationFailedError,
    client.TransactionalIdAuthorizationFailedError,
    client.SaslAuthenticationFailedError,
    client.UnsupportedSaslMechanismError,
    client.IllegalSaslStateError,
)
_MISCONFIGURED = (
    client.KafkaConfigurationError,
    client.InvalidConfigurationError,
    client.InvalidTransactionTimeoutError,
    client.InvalidSessionTimeoutError,
    client.InvalidGroupIdError,
    client.InvalidTopicError,
    client.InvalidPartitionsError,
    client.InvalidReplicationFactorError,
    client.PolicyViolationError,
    client.UnsupportedVersionError,
    client.UnsupportedCompressionTypeError,
)
_DAMAGED = (client.CorruptRecordError, client.LogTruncationError)
# Once a transaction has failed, the client answers each further call with a plain KafkaError that only
# carries the name of the first cause in its text.
_NAMED_IN_TEXT = (_FENCED, _STALE, _NOT_ALLOWED)
# What those plain errors say; an abort then ends the transaction, or a new client does.
_FAILED_BEFORE = (
    "in an error state",
    "previous transactional or idempotent request has failed",
    "Invalid transition attempted",
    "Cannot call send in state",
    "not in an active transaction",
)


def fenced(doing: str) -> FencedError:
    """The error of an instance whose place another one has taken.

    Args:
        doing: What was being done, to finish the sentence "... while ...".
    """
    return FencedError(
        f"Another instance has taken over while {doing}, or the broker has ended a transaction that took"
        " longer than --transaction-timeout.",
        hint="Start it again, as its supervisor does: what is uncommitted is done again. If it"
        " happens again, give each instance its own --instance name, or raise --transaction-timeout.",
    )


def _fenced(error: Exception, doing: str) -> Exception:
    del error
    return fenced(doing)


def _stale(error: Exception, doing: str) -> Exception:
    return StaleGroupError(f"The consumer group changed while {doing}: {error}")


def _aborted(error: Exception, doing: str) -> Exception:
    return TransactionAbortedError(f"The transaction was lost while {doing}: {error}")


def _not_allowed(error: Exception, doing: str) -> Exception:
    return ConfigurationError(
        f"Kafka does not let this client in while {doing}: {error}",
        hint="Check the user, the password and the access rights (--kafka-option sasl_...=...).",
    )


def _misconfigured(error: Exception, doing: str) -> Exception:
    return ConfigurationError(f"Kafka refused a setting while {doing}: {error}")


def _compressed(error: Exception, doing: str) -> Exception:
    return ConfigurationError(
        f"Records are compressed in a way that this installation does not know, found while {doing}: {error}",
        hint="Install what requirements.lock names: it has the packages for lz4, snappy and zstd.",
    )


def _damaged(error: Exception, doing: str) -> Exception:
    return InputError(
        f"The topic's data is damaged, found while {doing}: {error}",
        hint="The broker's log itself is at fault; restore it, or start from an offset behind the damage.",
    )


def _trouble(error: Exception, doing: str) -> Exception:
    return BrokerTroubleError(f"Kafka gave no answer while {doing}: {error}")


_MEANINGS: tuple[tuple[tuple[type[client.KafkaError], ...], Callable[[Exception, str], Exception]], ...] = (
    (_FENCED, _fenced),
    (_STALE, _stale),
    (_ABORTED, _aborted),
    (_NOT_ALLOWED, _not_allowed),
    (_MISCONFIGURED, _misconfigured),
    ((client.UnsupportedCodecError,), _compressed),
    (_DAMAGED, _damaged),
    ((client.RetriableError,), _trouble),
)


def translate(error: client.KafkaError, doing: str) -> Exception:
    """The error to raise instead of the client's.

    Args:
        error: What the client raised.
        doing: What was being done, to finish the sentence "Kafka failed while ...".
    """
    text = str(error)
    for kinds, meaning in _MEANINGS:
        named = kinds in _NAMED_IN_TEXT and any(kind.__name__ in text for kind in kinds)
        if named or isinstance(error, kinds):
            return meaning(error, doing)
    if any(words in text for words in _FAILED_BEFORE):
        return _aborted(error, doing)
    return BrokerRefusedError(f"Kafka failed while {doing}: {error}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns the client's errors into those of this module and of shared/errors.py."""
    try:
        yield
    except client.KafkaError as error:
        raise translate(error, doing) from error
