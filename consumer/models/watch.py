"""The model that is in use, and a watch on its directory for one that takes over from it."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

from pydantic import ValidationError

from consumer.models.candidate import LiveTrial, load_candidate
from consumer.scoring import Serving
from shared.errors import TandemError
from shared.models.directory import MODEL_FILE, Declaration, Model, digest
from shared.predict import Predictor

logger = logging.getLogger(__name__)

# Seconds for which a directory must stay as it is before it counts as written.
_SETTLE_SECONDS: Final = 0.5
# Seconds for a look that is under way at the end; its thread is a daemon and may be left behind.
_END_SECONDS: Final = 1.0

Role: TypeAlias = Literal["champion", "shadow"]
#: The directory without its links, and of each file its name, device, inode, size and times.
Look: TypeAlias = tuple[str, tuple[tuple[str | int, ...], ...]]


class ModelTelemetry(Protocol):
    """What is told of models (consumer/operations/telemetry.py)."""

    def model(self, model: Model, role: Role) -> None:
        """The model that scores in a role from the next batch on."""

    def swap(self, outcome: str) -> None:
        """A new model was `swapped` in or `refused`."""


class WatchedModel:
    """A model, and whatever takes over from it in its directory.

    A directory that has changed, and stands still, is read and tried on a thread of its own. What passes is
    the newest model from then on; what does not is refused with a sentence in the log, and the old goes on.

    Args:
        directory: The model's directory; it may be a link that is switched.
        predictor: The model that was read from there.
        every: Seconds from one look at it to the next.
        role: Whether it decides.
        telemetry: Is told of the model and of swaps.
        explain: How many of the largest contributions to give with each score; None: no explanations.
        live: What a new model is tried on besides its golden rows; None: nothing.
    """

    def __init__(
        self,
        directory: Path,
        predictor: Predictor,
        every: float,
        role: Role,
        telemetry: ModelTelemetry,
        *,
        explain: int | None = None,
        live: LiveTrial | None = None,
    ) -> None:
        self._directory = directory
        self._every = every
        self._role = role
        self._telemetry = telemetry
        self._explain = explain
        self._live = live
        self._newest = Serving(predictor)
        # What was made up one's mind about already.
        self._known = self._start(predictor.model)
        self._stop = threading.Event()

    def _start(self, model: Model) -> Look | None:
        """The directory as the model was read from it; None when it may have changed since."""
        look = look_at(self._directory)
        try:
            declaration = Declaration.model_validate_json((self._directory / MODEL_FILE).read_bytes())
        except (OSError, ValidationError):
            return None
        return look if digest(declaration) == model.sha256 else None

    @property
    def newest(self) -> Serving:
        """The newest model that may score."""
        return self._newest

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks at the directory for as long as the block runs."""
        thread = threading.Thread(target=self._watch, name=f"watch {self._directory}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(_END_SECONDS)

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self.look()

    def look(self) -> None:
        """Looks at the directory once, and lets a new model in it take over."""
        look = self._settled()
        if look in (None, self._known):
            return
        serving, began = self._newest.predictor, time.monotonic()
        current = serving.model
        try:
            candidate = load_candidate(self._directory, serving, self._explain, self._live)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the old model goes on
            if look_at(self._directory) == look:
                self._known = look
                self._refuse(current, error)
            return
        if look_at(self._directory) != look:
            # What was read may be of two models: the next look reads it again.
            return
        self._known = look
        if candidate.predictor.model.sha256 != current.sha256:
            self._take(candidate, current, time.monotonic() - began)

    def _settled(self) -> Look | None:
        """The directory once it stands still; None when it is as it was, or the watch ends."""
        look = look_at(self._directory)
        if look == self._known:
            return None
        said = False
        while not self._stop.wait(_SETTLE_SECONDS):
            again = look_at(self._directory)
            if again == look:
                return look
            if not said:
                logger.info("The model in %s is being written", self._directory)
                said = True
            look = again
        return None

    def _refuse(self, current: Model, error: Exception) -> None:
        told = str(error) if isinstance(error, TandemError) else f"{type(error).__name__}: {error}"
        logger.error(
            "The new model in %s is refused, and %s goes on scoring: %s", self._directory, current.id, told
        )
        self._telemetry.swap("refused")

    def _take(self, candidate: Serving, current: Model, seconds: float) -> None:
        model = candidate.predictor.model
        # One assignment: a batch is scored with the model before it or the one after.
        self._newest = candidate
        self._telemetry.swap("swapped")
        self._telemetry.model(model, self._role)
        logger.info(
            "%s (sha256 %s) takes over from %s (sha256 %s)",
            model.id,
            model.short_sha256,
            current.id,
            current.short_sha256,
            extra={"directory": str(self._directory), "seconds": round(seconds, 3)},
        )


def look_at(directory: Path) -> Look:
    """What of a directory changes whenever one of its files does, without reading any."""
    try:
        real = os.path.realpath(directory)
        names = sorted(entry.name for entry in os.scandir(real) if not entry.is_dir())
    except OSError:
        # It is not there now; what stands there next is another.
        return "", ()
    return real, tuple(_stat(real, name) for name in names)


def _stat(directory: str, name: str) -> tuple[str | int, ...]:
    try:
        found = os.stat(os.path.join(directory, name))  # noqa: PTH116, PTH118 - called often
    except OSError:
        return (name,)
    return name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
