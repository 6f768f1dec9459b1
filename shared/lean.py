"""Commands that start quickly: libraries do without others that they load on the off chance.

Arrow looks for pandas when it is first given a value, XGBoost and LightGBM for scikit-learn when they are
loaded: seconds, on a machine that has these. A command hands none of them pandas' or scikit-learn's objects.
Python that only uses Tandem may, so that nothing is left out there.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

_own_process = False


def start() -> None:
    """Says that this process is a command of this project, and nobody else's Python runs in it."""
    global _own_process  # noqa: PLW0603 - what a process is, is one fact of the whole of it
    _own_process = True


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """Hides libraries from what is imported meanwhile, in a command's own process; elsewhere does nothing.

    One that is loaded already is not hidden; afterwards all can be loaded as ever.

    Args:
        names: Their modules.
    """
    if not _own_process:
        yield
        return
    finder = _FindsNone(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _FindsNone:
    """Finds none of some libraries, wherever they are installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Nothing: what is not left out, others are to find."""
        del path, target
        if name in self._names:
            raise ModuleNotFoundError(f"{name} is left out here (see {__name__})", name=name)
        return None
