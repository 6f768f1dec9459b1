"""Reading ahead: a stage of the work runs in a thread of its own while the next one works, in order."""

import queue
import threading
from collections.abc import Iterable, Iterator
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

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            failed.append(error)
        put(_END)

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
