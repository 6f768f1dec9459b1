"""A name for this instance that no other on the host has now, and that it gets again after a restart.

The transactional id is made from it: a restarted consumer then ends the open transaction that it left
behind at once, and two consumers beside each other do not fence one another.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import ConfigurationError

_SLOTS = 1000


@contextmanager
def claim(group: str, host: str, folder: Path | None = None) -> Iterator[str]:
    """Holds the first free slot of this host for as long as the block runs.

    The slot is a locked file; the kernel frees it however the process ends. Whoever shares a host's name but
    not this folder, as containers may, does not see it: they need names of their own.

    Args:
        group: The consumer group.
        host: The host's name.
        folder: Where the lock files lie; the system's temporary folder unless given.

    Yields:
        `HOST-SLOT`.
    """
    name = hashlib.sha256(group.encode()).hexdigest()[:16]
    for slot in range(_SLOTS):
        path = (folder or Path(tempfile.gettempdir())) / f"tandem-{os.getuid()}-{name}-{slot}.lock"
        try:
            # The folder is everybody's: a link that another user put there is not followed.
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            continue
        with os.fdopen(lock, "r+b") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{host}-{slot}"
            return
    raise ConfigurationError(
        f"no instance name is free for group {group!r} on this host",
        hint="Give each consumer its own --instance.",
    )
