"""report.json: the document that a report is, and that its page shows."""

import importlib.metadata
from contextlib import suppress
from typing import Final, Literal

from batch.advice.result import Advice
from batch.proof.result import Frozen, Proof
from batch.replaying.result import Replay
from shared.models.certificate import Machine
from shared.version import tandem_version

#: What a score, or a number's way through a file, depends on; those that are not installed are left out.
_LIBRARIES: Final = (
    "numpy",
    "pyarrow",
    "msgspec",
    "xgboost",
    "xgboost-cpu",
    "lightgbm",
    "onnx",
    "onnxruntime",
)


class Environment(Frozen):
    """Where a report was made.

    Attributes:
        tandem: The version of Tandem.
        python: The version of Python.
        system: Operating system and processor.
        cores: Processor cores.
        libraries: Versions of the libraries that the answer depends on.
    """

    tandem: str
    python: str
    system: str
    cores: int
    libraries: dict[str, str]

    @classmethod
    def this(cls) -> "Environment":
        """The entry for the machine and the installation that this runs on."""
        machine = Machine.this()
        return cls(
            tandem=tandem_version(),
            python=machine.python,
            system=f"{machine.system} {machine.machine}, {machine.processor}",
            cores=machine.cores,
            libraries=_installed(),
        )


class Report(Frozen):
    """A report; at least one of its sections is there.

    Attributes:
        version: Of this form of the document.
        made: When, RFC 3339 in UTC.
        command: The command line's settings, as text.
        seconds: How long it took.
        environment: Where.
        proof: What `prove` found.
        advice: What `advise` found.
        replay: What `replay` found.
    """

    version: Literal[1] = 1
    made: str
    command: dict[str, str]
    seconds: float
    environment: Environment
    proof: Proof | None = None
    advice: Advice | None = None
    replay: Replay | None = None


def _installed() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
