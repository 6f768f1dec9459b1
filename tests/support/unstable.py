"""Scorers with planted instabilities, for a model of one number."""

import threading
import time
from typing import ClassVar, Self

import numpy as np

from shared.frame import Frame
from shared.models.base import Floats, Scorer
from shared.schema import Schema


class _Planted(Scorer):
    needs_artifact: ClassVar[bool] = False

    @classmethod
    def load(cls, schema: Schema, artifact: bytes) -> Self:  # noqa: ARG003 - the same for all models
        return cls()


def up(numbers: Floats) -> Floats:
    """The next float64 above each."""
    return np.nextafter(numbers, np.inf)


class BySize(_Planted):
    """One unit in the last place more in batches of fifty and more."""

    kind: ClassVar[str] = "by-size"

    def raw(self, frame: Frame) -> Floats:
        numbers = frame.columns["feature"]
        return up(numbers) if frame.count >= 50 else numbers


class ByOrder(_Planted):
    """Remembers the row before: two units more after a row with a larger number."""

    kind: ClassVar[str] = "by-order"

    def __init__(self) -> None:
        self.before = -np.inf

    def raw(self, frame: Frame) -> Floats:
        numbers = frame.columns["feature"]
        before = np.concatenate([[self.before], numbers[:-1]])
        self.before = float(numbers[-1]) if len(numbers) else self.before
        return np.where(before > numbers, up(up(numbers)), numbers)


class ByThread(_Planted):
    """The decision is another one on every thread but the main one."""

    kind: ClassVar[str] = "by-thread"

    def raw(self, frame: Frame) -> Floats:
        numbers = frame.columns["feature"]
        alone = threading.current_thread() is threading.main_thread()
        return numbers if alone else np.where(numbers > 0.6, 0.0, 1.0)


class FailingOnThreads(_Planted):
    """Scores on the main thread only."""

    kind: ClassVar[str] = "failing"

    def raw(self, frame: Frame) -> Floats:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("not here")
        return frame.columns["feature"]


class Shared(_Planted):
    """Keeps its work where another thread can change it."""

    kind: ClassVar[str] = "shared"

    def raw(self, frame: Frame) -> Floats:
        self.numbers = frame.columns["feature"]
        time.sleep(0)  # the other thread may come in, as while a library computes
        return np.resize(self.numbers, frame.count)


class SaysSo(_Planted):
    """Stable, and yet says of itself that it may not be."""

    kind: ClassVar[str] = "says-so"

    @property
    def unstable(self) -> str | None:
        return "the kind adds in an order of its own"

    def raw(self, frame: Frame) -> Floats:
        return frame.columns["feature"]


class RaisingAbove(_Planted):
    """Fails for every number above 0.3."""

    kind: ClassVar[str] = "raising"

    def raw(self, frame: Frame) -> Floats:
        numbers = frame.columns["feature"]
        if (numbers > 0.3).any():
            raise ValueError("a number above 0.3")
        return numbers


class SlowAbove(_Planted):
    """Takes 5 ms for every number above 0.3."""

    kind: ClassVar[str] = "slow"

    def raw(self, frame: Frame) -> Floats:
        numbers = frame.columns["feature"]
        time.sleep(0.005 * int(np.count_nonzero(numbers > 0.3)))
        return numbers


PLANTED = (BySize, ByOrder, ByThread, FailingOnThreads, Shared, SaysSo, RaisingAbove, SlowAbove)
