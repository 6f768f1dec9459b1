"""Keeps other runs out of a folder of an object store, which has no locks of its own.

Who wants the folder writes an object of their own, and then looks which others are there. Of two who do so at
once the later to look sees the other's, since a store lists what was written before: never do both go on,
though both may have to give up. While a run has the folder it writes its object again and again; one that
has not been written for a while, by the store's own clock, is a killed run's and counts for nothing.
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from shared.errors import InputError
from shared.stores.folder import StoreFolder

LOCK_PREFIX: Final = ".lock-"
#: How often a run says that it is alive, and after what silence it counts as killed; in seconds.
BEAT_SECONDS: Final = 15.0
STALE_SECONDS: Final = 60.0

_LOG: Final = logging.getLogger(__name__)


class ObjectLock:
    """One run's lock on a folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: StoreFolder) -> None:
        self._folder = folder
        self._name = f"{LOCK_PREFIX}{secrets.token_hex(8)}"
        self._beating = threading.Lock()
        self._beaten = 0.0
        self._lost = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lock while the block runs.

        Raises:
            InputError: Another run has it, or the store refuses.
        """
        self._take()
        stop = threading.Event()
        beats = threading.Thread(target=self._beat_until, args=(stop,), name="lock", daemon=True)
        beats.start()
        try:
            yield
        finally:
            stop.set()
            beats.join()
            self._give_up()

    def check(self) -> None:
        """Sees that the lock is still held; to be called before anything is written.

        Raises:
            InputError: The run was so long without a sign of life that another may have taken over.
        """
        if time.monotonic() - self._beaten > STALE_SECONDS / 2:
            self._beat()
        if self._lost:
            raise InputError(
                f"{self._folder.place}: another run has taken over this folder: this one gave no sign of life"
                f" for {STALE_SECONDS:g} seconds",
                hint="Leave the folder to the other run. What it finds finished it does not score again.",
            )

    def _take(self) -> None:
        self._write()
        try:
            found = self._locks()
            now = found.pop(self._name, 0.0)
            for name, changed in found.items():
                self._see_that_stale(name, now - changed)
            for name in found:
                self._folder.remove(name)
        except BaseException:
            self._give_up()
            raise

    def _see_that_stale(self, name: str, silent: float) -> None:
        owner = self._owner(name)
        if silent < STALE_SECONDS:
            raise InputError(
                f"{self._folder.place}: another run is writing to this folder: {owner},"
                f" whose last sign of life is {max(0.0, silent):.0f} seconds old",
                hint="Wait for it to end, or name another folder. If it was killed, the folder is free"
                f" {STALE_SECONDS:g} seconds after its last sign of life.",
            )
        _LOG.warning(
            "%s: %s was killed, or lost the store from sight, %.0f seconds ago: this run takes over its lock",
            self._folder.place,
            owner,
            silent,
        )

    def _give_up(self) -> None:
        # Where the store is away the lock goes stale by itself.
        with suppress(InputError):
            self._folder.remove(self._name)

    def _beat_until(self, stop: threading.Event) -> None:
        while not stop.wait(BEAT_SECONDS):
            # A store that does not answer now may do so next time; `check` sees when it is too late.
            try:
                self._beat()
            except InputError as error:
                _LOG.warning("%s", error.message)

    def _beat(self) -> None:
        with self._beating:
            if self._name not in self._locks():
                self._lost = True
            if not self._lost:
                self._write()

    def _write(self) -> None:
        owner = {"host": socket.gethostname(), "process": os.getpid()}
        begun = time.monotonic()
        self._folder.put(self._name, json.dumps(owner).encode())
        self._beaten = begun

    def _locks(self) -> dict[str, float]:
        """When each lock was last written."""
        entries = self._folder.entries()
        return {name: entry.changed for name, entry in entries.items() if name.startswith(LOCK_PREFIX)}

    def _owner(self, name: str) -> str:
        try:
            owner = json.loads(self._folder.read(name))
            return f"process {owner['process']} of {owner['host']}"
        except (InputError, ValueError, KeyError, TypeError):
            return "a run"
