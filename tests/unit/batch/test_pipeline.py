"""Reading ahead changes no order, loses no error, and leaves no thread behind."""

import threading
from collections.abc import Iterator

import pytest

from batch.pipeline import ahead


def test_items_come_in_order() -> None:
    assert list(ahead(ahead(iter(range(1000)), depth=1), depth=3)) == list(range(1000))


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_a_reader_that_stops_early_ends_all_threads() -> None:
    for item in ahead(ahead(iter(range(10**9)))):
        if item == 5:
            break
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_no_more_than_depth_items_wait() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    reader = ahead(items(), depth=2)
    for item in reader:
        # One that is being made and one that waits for its place, beside those that wait.
        assert len(made) <= item + 5
