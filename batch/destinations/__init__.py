"""Tables that results are delivered to: a new kind is one file here and one entry in _KINDS."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Final, cast

from batch.destinations.base import Delivered, Destination, Target

__all__ = ["Delivered", "Destination", "Target", "destination_of"]

#: By the scheme of an address, the module and the class; loaded when it is asked for.
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "postgresql": ("batch.destinations.database", "DatabaseTable"),
    "postgres": ("batch.destinations.database", "DatabaseTable"),
    "sqlite": ("batch.destinations.database", "DatabaseTable"),
    "delta": ("batch.destinations.delta", "DeltaTable"),
    "iceberg": ("batch.destinations.iceberg", "IcebergTable"),
}


def destination_of(target: Target) -> Destination | None:
    """The table that an output stands for; None when it is a folder.

    Raises:
        ConfigurationError: The address cannot be read, its table is not named, or an extra is not installed.
    """
    scheme, colon, rest = target.address.partition(":")
    kind = _KINDS.get(scheme.lower()) if colon else None
    if kind is None:
        return None
    module, name = kind
    make = cast("Callable[[Target], Destination]", getattr(import_module(module), name))
    return make(replace(target, address=f"{scheme.lower()}:{rest}"))
