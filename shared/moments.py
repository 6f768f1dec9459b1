"""Times as people type them and read them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.schema import is_rfc3339

_AGO: Final = re.compile(r"(\d{1,18})([smhdw])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str, now: int) -> int:
    """A point in time, in milliseconds since the epoch.

    Args:
        text: RFC 3339 such as `2026-01-31T12:00:00Z`, or how long ago: `90s`, `15m`, `2h`, `3d`, `1w`.
        now: The present, in the same unit.

    Raises:
        ValueError: It is neither, or so long ago that there were no timestamps.
    """
    if ago := _AGO.fullmatch(text.strip()):
        then = now - int(ago[1]) * _SECONDS[ago[2]] * 1000
        if then < 0:
            raise ValueError("a time since 1970: it reaches before 1970")
        return then
    if not is_rfc3339(text.strip()):
        raise ValueError("a time such as 2026-01-31T12:00:00Z, or how long ago: 90s, 15m, 2h, 3d, 1w")
    # A leap second is the last of its minute, as far as the standard library knows.
    read = datetime.fromisoformat(re.sub(r":60(?=[.+\-Zz])", ":59", text.strip().upper()))
    return (read - _EPOCH) // timedelta(milliseconds=1)


def shown_time(timestamp: int) -> str:
    """A record's timestamp as RFC 3339 in UTC; a dash when there is none, or the calendar has no such year.

    Args:
        timestamp: Milliseconds since the epoch, -1 for none.
    """
    if timestamp < 0:
        return "-"
    try:
        return (
            (_EPOCH + timedelta(milliseconds=timestamp))
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
    except OverflowError:
        return "-"
