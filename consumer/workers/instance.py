"""A name for this instance that no other on the host has now, and that it gets again after a restart.

The transactional id is made from it: a restarted consumer then ends the open transaction that it left
behind at once, and two consumers beside each other do not fence one another.
"""

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError

_SLOTS: Final = 1000
# What opening a file gives that another user made, or a link.
_ANOTHERS: Final = (errno.EACCES, errno.EPERM, errno.ELOOP)
_HINT: Final = "Give each consumer its own --instance."


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

    Raises:
        ConfigurationError: No lock file can be made there, or all slots are taken.
    """
    name = hashlib.sha256(group.encode()).hexdigest()[:16]
    try:
        # It tries out which folder can be written to, and fails where none can.
        folder = folder or Path(tempfile.gettempdir())
    except OSError as error:
        raise ConfigurationError(f"no lock file can be made: {error.strerror}", hint=_HINT) from error
    for slot in range(_SLOTS):
        path = folder / f"tandem-{os.getuid()}-{name}-{slot}.lock"
        try:
            # The folder is everybody's: a link that another user put there is not followed.
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in _ANOTHERS and os.path.lexists(path):
                continue
            raise ConfigurationError(
                f"no lock file can be made in {folder}: {error.strerror}", hint=_HINT
            ) from error
        with os.fdopen(lock, "r+b") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{host}-{slot}"
            return
    raise ConfigurationError(
        f"no instance name is free for group {group!r} on this host",
        hint=_HINT,
    )
