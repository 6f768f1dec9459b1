"""Arrow, set up for a command of this project."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas:
    """Finds no pandas, wherever it is installed."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Nothing, for all that others are to find."""
        del path, target
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)
        return None


def leave_pandas_out() -> None:
    """Keeps Arrow from loading pandas, which takes longer than scoring a small file.

    Arrow looks for pandas once, when it is first given a value: a pandas value may be what it is given. A
    command gives it none. Whoever asks Arrow for pandas by name, as with `to_pandas`, still gets it.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa  # noqa: PLC0415 - a command that needs no Arrow does not wait for it

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(finder)
