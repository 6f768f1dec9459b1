"""Reading ahead: a stage of the work runs in a thread of its own while the next one works, in order."""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final, TypeVar

T = TypeVar("T")

_END: Final = object()


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, made in a thread that is at most `depth` items ahead.

    Arrow, numpy and hashing let other threads work meanwhile. What the thread raises is raised here, after
    the items before it; when the caller stops early, the thread ends too.

    Args:
        items: What to run in the thread.
        depth: How many items may wait.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not _put(waiting, item, stop):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            failed.append(error)
        if isinstance(iterator, Generator):
            iterator.close()
        _put(waiting, _END, stop)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item
        if failed:
            raise failed[0]
    finally:
        stop.set()
        thread.join()


def _put(waiting: queue.Queue[Any], item: object, stop: threading.Event) -> bool:
    """Puts an item in its place once there is room; False when nobody wants it any more."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False
