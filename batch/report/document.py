"""report.json: the document that a report is, and that its page shows."""

from typing import Literal

from batch.advice.result import Advice
from batch.proof.result import Frozen, Proof
from batch.replaying.result import Replay


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
