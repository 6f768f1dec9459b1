"""What the consumer's log says now and then: how far it is, or that the broker does not answer."""

import gc
import logging
import time
from typing import Final, Protocol

from shared.kafka.errors import RecoverableError
from shared.ledger import Ledger

logger = logging.getLogger(__name__)

_SECONDS: Final = 10.0
# Seconds for the broker of a quiet topic to show that it is there.
_SIGN_SECONDS: Final = 2.0


class Source(Protocol):
    """What a report needs of a reader (shared/kafka/reader.py)."""

    def caught_up(self, timeout: float) -> bool:
        """Whether all that there is now has been read; RecoverableError when the broker does not tell."""


class Report:
    """Says now and then how far the loop is, or that the broker does not answer."""

    def __init__(self, ledger: Ledger, source: Source) -> None:
        self._ledger = ledger
        self._source = source
        self._at = self._answered = time.monotonic()
        self._read = 0

    def tick(self) -> None:
        """Reports when it is time."""
        passed = time.monotonic() - self._at
        if passed < _SECONDS:
            return
        gc.collect()
        new, self._at = self._ledger.read - self._read, time.monotonic()
        if not new:
            self._look_for_the_broker()
            return
        self._answered = self._at
        counts = {"scored": self._ledger.scored, "rejected": self._ledger.rejected}
        logger.info("Scoring", extra={**counts, "events_per_second": round(new / passed)})
        self._read += new

    def _look_for_the_broker(self) -> None:
        """A poll comes back empty from a quiet topic and from a silent broker alike."""
        try:
            self._source.caught_up(_SIGN_SECONDS)
        except RecoverableError:
            logger.warning("No answer from the broker for %d s; waiting", time.monotonic() - self._answered)
        else:
            self._answered = time.monotonic()
