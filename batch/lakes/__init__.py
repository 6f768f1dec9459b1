"""Tables of a lake as they stand at one version: a new kind is one file here and one entry in _KINDS."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, cast

from batch.lakes.base import Lake

__all__ = ["Lake", "is_lake", "open_lake"]

#: By the word that an address begins with, the module and the class; loaded when it is asked for.
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "delta": ("batch.lakes.delta", "DeltaLake"),
    "iceberg": ("batch.lakes.iceberg", "IcebergLake"),
}


def is_lake(address: str) -> bool:
    """Whether an input is the address of a table: `delta:PATH`, `iceberg:CATALOG/NAMESPACE.TABLE`."""
    kind, colon, _ = address.partition(":")
    return bool(colon) and kind.lower() in _KINDS


def open_lake(address: str) -> Lake:
    """A table at the version that its address names, or else at the one that is now the last.

    Raises:
        ConfigurationError: The address cannot be read, or an extra is not installed.
        InputError: There is no such table or version, or it cannot be read correctly.
    """
    kind, _, rest = address.partition(":")
    module, name = _KINDS[kind.lower()]
    make = cast("Callable[[str], Lake]", getattr(import_module(module), name))
    return make(f"{kind.lower()}:{rest}")
