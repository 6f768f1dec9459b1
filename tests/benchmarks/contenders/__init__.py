"""The others, each as its best users would write it, and each in a process of its own.

A contender reads the events, validates and scores them with the same linear model, writes the same JSON with
the event's key to the event's partition (Quix Streams picks the partition itself), and commits. It needs no
dead letters: its events are all valid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

EXACTLY_ONCE: Final = "exactly-once"
AT_LEAST_ONCE: Final = "at-least-once"
BOTH: Final = (AT_LEAST_ONCE, EXACTLY_ONCE)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to score events without Tandem.

    Attributes:
        title: What a table calls it.
        module: The module of this package that has it; imported only where it runs.
        function: Its function there, which takes a `Job`.
        guarantees: What it can be asked for.
        scores: Whether it scores, or only passes the bytes through.
        own_environment: Whether it runs in an environment of its own (environment.py).
    """

    title: str
    module: str
    function: str
    guarantees: tuple[str, ...]
    scores: bool = True
    own_environment: bool = False


CONTENDERS: Final[Mapping[str, Contender]] = {
    "kafka_python_naive": Contender("kafka-python, naive", "kafka_python", "naive", (AT_LEAST_ONCE,)),
    "kafka_python_batches": Contender("kafka-python in batches", "kafka_python", "batches", BOTH),
    "quix_streams": Contender("Quix Streams", "quix", "run", BOTH, own_environment=True),
    "aiokafka": Contender("aiokafka", "aio", "run", BOTH),
    "confluent_naive": Contender("confluent-kafka, naive", "confluent", "naive", (AT_LEAST_ONCE,)),
    "confluent_expert": Contender("confluent-kafka by an expert", "confluent", "expert", BOTH),
    "confluent_overlapped": Contender(
        "confluent-kafka by an expert, commits overlapped", "confluent", "overlapped", BOTH
    ),
    "passthrough": Contender(
        "bytes passed through, unscored", "confluent", "passthrough", BOTH, scores=False
    ),
}
