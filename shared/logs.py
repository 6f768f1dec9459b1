"""Logs: a short line on a terminal, one JSON object a line elsewhere. Always on standard error."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field

from shared.visible import visible

LogFormat = Literal["auto", "human", "json"]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]

_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class LogSettings(BaseModel):
    """How a command logs."""

    log_format: LogFormat = Field("auto", description="human, json, or auto: human on a terminal.")
    log_level: LogLevel = Field("info", description="Least level shown.")


# What the client's requests under way fail with when it is closed.
_CLOSED: Final = "Cancelled"
# A transaction's records and its offsets travel together, and the broker verifies one of them at a time: of
# the other it says this, and the client sends it again at once. What goes on failing is told by the commit.
_VERIFIED_AGAIN: Final = "Unable to verify the partition has been added to the transaction"


def set_up(style: LogFormat = "auto", level: str = "INFO", **fields: object) -> None:
    """Sends the log to standard error.

    Args:
        style: `human`, `json`, or `auto`: human on a terminal, else JSON.
        level: The least severe level that is shown.
        fields: Stand in every line, to tell processes apart that share one standard error.
    """
    human = sys.stderr.isatty() if style == "auto" else style == "human"
    handler = logging.StreamHandler()
    handler.setFormatter(_Human() if human else _Json())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # The client tells of every connection at INFO, and of passwords at DEBUG: its options and the bytes that
    # it sends. What matters of it comes as a warning, whatever level is asked for.
    logging.getLogger("kafka").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    handler.addFilter(_Calm("kafka"))
    handler.addFilter(_Fields(fields))
    # Its event loop warns of each step over 0.1 s, which a large record batch or a busy machine takes.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)


@contextmanager
def told_to(say: Callable[[str], None]) -> Iterator[None]:
    """Hands the log's lines to who shares its terminal, instead of writing them, while the block runs.

    Args:
        say: Takes one entry, as it would have been written; may be called by any thread.
    """
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers = [_Told(handler, say) for handler in before]
    try:
        yield
    finally:
        root.handlers = before


class _Told(logging.Handler):
    """Does as another handler does, but hands on what it would write."""

    def __init__(self, model: logging.Handler, say: Callable[[str], None]) -> None:
        super().__init__(model.level)
        self.setFormatter(model.formatter)
        self.filters = model.filters
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the record's line on."""
        try:
            self._say(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler: a log that fails ends no work
            self.handleError(record)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    extra.pop("message", None)
    extra.pop("asctime", None)
    return extra


class _Calm(logging.Filter):
    """Lets a library say the same thing once in a while: it tells of every retry, of every partition.

    That a client that was closed did not end what it was at, it need not say at all.
    """

    def __init__(self, library: str, pause: float = 5.0) -> None:
        super().__init__()
        self._library = f"{library}."
        self._pause = pause
        self._said: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is none of the library's warnings and errors, or one not given of late."""
        if not record.name.startswith(self._library) or record.levelno < logging.WARNING:
            return True
        if any(
            type(argument).__name__ == _CLOSED or _VERIFIED_AGAIN in str(argument)
            for argument in record.args or ()
        ):
            return False
        # The place in the code, as the text may name a partition or a time.
        place = record.pathname, record.lineno
        last = self._said.get(place)
        if last is not None and record.created - last < self._pause:
            return False
        self._said[place] = record.created
        return True


class _Fields(logging.Filter):
    """Gives every line the same fields, where it has none of that name."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        super().__init__()
        self._fields = fields

    def filter(self, record: logging.LogRecord) -> bool:
        """True; the record has the fields afterwards."""
        vars(record).update({**self._fields, **vars(record)})
        return True


def _safe(text: str) -> str:
    """The text without what a terminal would obey, its lines kept: names and values may be a stranger's."""
    return "\n".join(map(visible, text.split("\n")))


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        extra = " ".join(f"{name}={value}" for name, value in _extra(record).items())
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        line = f"{at} {level}{record.getMessage()}{'  ' + extra if extra else ''}"
        return _safe(f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)
