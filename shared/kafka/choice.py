"""Whether the fast path over the client's private parts can be used; said once when it cannot."""

import functools
import importlib
import logging
from types import ModuleType

logger = logging.getLogger(__name__)


@functools.cache
def _fast_path() -> ModuleType | None:
    # Imported by name and only here: another client version may lack what shared/kafka/fast.py imports.
    try:
        module = importlib.import_module("shared.kafka.fast")
        reason = importlib.import_module("shared.kafka.selfcheck").self_check()
    except Exception as error:  # noqa: BLE001 - another client version may fail in any way
        reason = f"it cannot be loaded: {error!r}"
    if reason is None:
        return module
    logger.warning(
        "Reading and writing record by record, about ten times slower: the fast path is off, because %s",
        reason,
    )
    return None


def fast_path(*, public_calls: bool) -> ModuleType | None:
    """shared/kafka/fast.py, or None to use the client's public calls.

    Args:
        public_calls: Whether the caller asks for the public calls.
    """
    return None if public_calls else _fast_path()
