"""A client that has just connected asks for its topics without a pause."""

import time

from kafka.net.compat import KafkaNetClient

from shared.kafka import fast


def waits(*, at_once: bool) -> float:
    """Milliseconds from a first answer about the cluster to the question that a client then has."""
    network = KafkaNetClient(bootstrap_servers="127.0.0.1:1")
    cluster = network._manager.cluster
    # What the library notes when it has connected and was answered.
    cluster._last_refresh_ms = cluster._last_successful_refresh_ms = time.monotonic() * 1000
    cluster._need_update = True
    if at_once:
        fast.ask_at_once(network)
    found = float(cluster.ttl())
    network.close()
    return found


def test_the_first_question_waits_for_nothing() -> None:
    assert waits(at_once=True) == 0


def test_the_library_alone_waits() -> None:
    """When this fails, the library has mended it, and `ask_at_once` can go."""
    assert waits(at_once=False) > 0
