"""The digests of a run's inputs, found while the inputs are scored: they are read once more for that."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from batch.sources import Scorable

#: Finds the digest of a source by its number; gives up once what it is given says that it is stopped.
Find = Callable[[int, Callable[[], bool]], str]


class Digests:
    """Finds the digest of each source that can be read again; leave it through `with`.

    An error in the block gives up what is not yet found: nobody waits for that.

    Args:
        sources: The sources.
        find: Finds the digest of one, in a thread beside the others' scoring.
    """

    def __init__(self, sources: Sequence[Scorable], find: Find) -> None:
        self._sources, self._find = sources, find
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, "digest")
        self._found: list[Future[str] | None] = []
        self._failed: list[BaseException] = []

    def __enter__(self) -> Self:
        for number, source in enumerate(self._sources):
            future = self._pool.submit(self._find, number, self._stop.is_set) if source.resumable else None
            if future is not None:
                future.add_done_callback(self._note)
            self._found.append(future)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stop.set()
        self._pool.shutdown(cancel_futures=error is not None)

    def check(self) -> None:
        """Raises what has gone wrong so far: a run whose input is found to be another goes no further.

        Raises:
            TandemError: A source cannot be read, has changed, or is not the one that it should be.
        """
        if self._failed:
            raise self._failed[0]

    def all(self) -> list[str]:
        """The digest of each source, once all are found; of one that is read only once, of what was read.

        Raises:
            TandemError: As check.
        """
        return [
            source.digest() if found is None else found.result()
            for source, found in zip(self._sources, self._found, strict=True)
        ]

    def _note(self, found: "Future[str]") -> None:
        if not found.cancelled() and (error := found.exception()) is not None:
            self._failed.append(error)
