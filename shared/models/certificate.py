"""certificate.json: how a model's scores were found to hold, and what of them did not.

It lies beside model.json and is bound to the model's sha256: once the model is another one, it is stale.
"""

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.models.directory import Model, first_problem
from shared.version import tandem_version

CERTIFICATE_FILE: Final = "certificate.json"
PAGE_FILE: Final = "certificate.html"

Verdict = Literal["bit-stable", "row-by-row", "refused"]
#: What a verdict means, for people.
MEANINGS: Final[dict[Verdict, str]] = {
    "bit-stable": "bit-stable",
    "row-by-row": "bit-stable one row at a time",
    "refused": "refused for streaming",
}
State = Literal["valid", "none", "stale", "refused", "damaged"]
#: The libraries that each kind scores with, by the names that they are installed under.
_LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "xgboost": ("xgboost", "xgboost-cpu"),
    "lightgbm": ("lightgbm",),
    "onnx": ("onnxruntime", "onnx"),
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Combination(_Part):
    """One way of scoring the rows, compared with scoring each alone as an event.

    Attributes:
        size: How many rows were scored together.
        order: `as is`, `shuffled` or `reversed`.
        route: How the rows came: `json`, `csv` or `parquet`.
        threads: How many threads scored all of the rows at the same time with one predictor.
        rows: How many scores were compared.
        different: How many of them had other bits.
        rejected: How many rows got no score.
        flipped: How many decisions were another one.
        max_ulps: The furthest that a score was off, in units in the last place.
    """

    size: int
    order: str
    route: str
    threads: int
    rows: int
    different: int
    rejected: int
    flipped: int
    max_ulps: int

    @property
    def stable(self) -> bool:
        """Whether every row got the same bits."""
        return not (self.different or self.rejected or self.flipped)


class Trial(_Part):
    """All combinations, with the rows handed to the model in one way.

    Attributes:
        execution: `any` number of rows together, or `one` at a time.
        combinations: Each way of scoring the rows.
    """

    execution: Literal["any", "one"]
    combinations: tuple[Combination, ...]

    @property
    def stable(self) -> bool:
        """Whether every combination is."""
        return all(combination.stable for combination in self.combinations)


class Certified(_Part):
    """The model that was certified.

    Attributes:
        id: `name@version`.
        kind: Its kind.
        sha256: The digest of everything that a prediction depends on. The certificate holds for it alone.
        execution: How its rows are run from now on.
        golden: How many golden rows hold its exact scores.
    """

    id: str
    kind: str
    sha256: str
    execution: Literal["any", "one"]
    golden: int


class SampleUsed(_Part):
    """The rows that were scored.

    Attributes:
        source: The sample's file name, or `generated` when they were made of the declared inputs.
        rows: How many, golden rows included.
        golden: How many of them the model's golden rows were.
        left_out: How many rows of the sample were not scored, by reason code.
        sha256: The digest of the rows, one JSON object a line, without the customers' ids.
    """

    source: str
    rows: int
    golden: int
    left_out: dict[str, int]
    sha256: str


class Machine(_Part):
    """Where the scores were made.

    Attributes:
        system: The operating system.
        machine: The architecture.
        processor: The processor's name, as far as it is known.
        features: The instruction sets that numpy found and uses.
        cores: How many processors the system has.
        python: Python's version.
    """

    system: str
    machine: str
    processor: str
    features: tuple[str, ...]
    cores: int
    python: str

    @classmethod
    def this(cls) -> "Machine":
        """The entry for the machine that this runs on."""
        config: Any = np.show_config(mode="dicts")
        found = config.get("SIMD Extensions", {})
        return cls(
            system=f"{platform.system()} {platform.release()}",
            machine=platform.machine(),
            processor=_processor(),
            features=(*found.get("baseline", ()), *found.get("found", ())),
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
        )


class Certificate(_Part):
    """The content of certificate.json.

    Attributes:
        version: Of this form of the certificate.
        kind: `certificate`.
        verdict: `bit-stable`, whatever rows are scored together; `row-by-row`, bit-stable when one row is
            scored at a time, which the model now declares; or `refused`.
        reason: Why it is not `bit-stable`, as a sentence; null when it is.
        model: What was certified.
        trials: What was tried, in this order: the last one gave the verdict.
        sample: The rows that were scored.
        tandem: Tandem's version.
        libraries: The versions of the libraries that a score passes through.
        machine: Where it was done.
        issued: When, RFC 3339 in UTC.
        seconds: How long it took.
    """

    version: Literal[1] = 1
    kind: Literal["certificate"] = "certificate"
    verdict: Verdict
    reason: str | None = None
    model: Certified
    trials: tuple[Trial, ...] = Field(min_length=1)
    sample: SampleUsed
    tandem: str = Field(default_factory=tandem_version)
    libraries: dict[str, str]
    machine: Machine
    issued: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What a model's certificate is worth now.

    Attributes:
        state: `valid`; `none`; `stale` when it is another model's; `refused` when it is the model's and says
            that it may not stream; `damaged` when it cannot be read.
        detail: A sentence for people.
        certificate: What was read.
    """

    state: State
    detail: str
    certificate: Certificate | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing about it is wrong: a model needs no certificate, but not one that does not hold."""
        return self.state in ("valid", "none")


def standing_of(directory: Path, model: Model) -> Standing:
    """What the certificate in a model's directory is worth.

    Args:
        directory: The model's directory.
        model: The model, as it was read from there.
    """
    path = directory / CERTIFICATE_FILE
    try:
        certificate = Certificate.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Standing("none", "the model is not certified")
    except OSError as error:
        return Standing("damaged", f"{path} cannot be read: {error.strerror}")
    except ValidationError as error:
        return Standing("damaged", f"{path} is not a certificate: {first_problem(error)}")
    issued = f"of {certificate.issued[:10]}"
    if certificate.model.sha256 != model.sha256:
        detail = (
            f"the certificate {issued} is of sha256 {certificate.model.sha256[:12]},"
            f" and the model's is {model.short_sha256} now: it was changed"
        )
        return Standing("stale", detail, certificate)
    if certificate.verdict == "refused":
        return Standing("refused", f"the certificate {issued} says: {certificate.reason}", certificate)
    changed = _changed(certificate.libraries, libraries_of(certificate.model.kind))
    detail = f"{MEANINGS[certificate.verdict]}, {issued}, {certificate.sample.rows:,} rows"
    return Standing("valid", detail + (f"; since then {changed}" if changed else ""), certificate)


def _changed(then: dict[str, str], now: dict[str, str]) -> str:
    changes = [
        f"{name} {version} has become {now.get(name, 'uninstalled')}"
        for name, version in then.items()
        if now.get(name) != version
    ]
    return ", ".join(changes)


def libraries_of(kind: str) -> dict[str, str]:
    """The versions of the libraries that a score of a kind passes through, as they are installed."""
    return _versions(("numpy", "pyarrow", *_LIBRARIES.get(kind, ())))


def _versions(names: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
