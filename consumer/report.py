"""What the consumer's log says now and then: how far it is."""

import gc
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.ledger import Ledger

logger = logging.getLogger(__name__)

_SECONDS: Final = 10.0


@contextmanager
def quiet() -> Iterator[None]:
    """Lets no report say anything for as long as the block runs: the same stands on a screen."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class Report:
    """Says now and then how far the loop is, while it gets on."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._at = time.monotonic()
        self._read = 0

    def tick(self) -> None:
        """Reports when it is time."""
        passed = time.monotonic() - self._at
        if passed < _SECONDS:
            return
        gc.collect()
        new, self._at = self._ledger.read - self._read, time.monotonic()
        if not new:
            return
        counts = {"scored": self._ledger.scored, "rejected": self._ledger.rejected}
        logger.info("Scoring", extra={**counts, "events_per_second": round(new / passed)})
        self._read += new
