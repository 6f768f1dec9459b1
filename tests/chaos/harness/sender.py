"""The process that sends the events: `python -m tests.chaos.harness.sender --topic T ...`.

It is told what to do through its standard input (`burst N`, `poison N`, `stop`), ends when that is closed,
and then says as one line of JSON what the broker has acknowledged.
"""

import argparse
import json
import selectors
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Producer

from tests.chaos.harness.events import Event, Events

_TICK: Final = 0.02
_END_SECONDS: Final = 60.0


class Sender:
    """Sends at a steady rate, and more when told to.

    Args:
        bootstrap: Where the brokers are.
        topic: Where the events go.
        rate: Events a second.
        events: Makes them.
    """

    def __init__(self, bootstrap: str, topic: str, rate: float, events: Events) -> None:
        # Idempotent: an acknowledgement that got lost sends nothing twice and changes no order.
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                # With more, librdkafka may lose count of its sequence numbers when connections are cut.
                "max.in.flight": 1,
                "acks": "all",
                "linger.ms": 5,
                "message.max.bytes": 4 << 20,
                "reconnect.backoff.max.ms": 1000,
                "delivery.timeout.ms": 300_000,
                "log_level": 2,
            }
        )
        self._topic = topic
        self._rate = rate
        self._events = events
        self._sent = self._acknowledged = 0
        self._failures: list[str] = []

    def run(self) -> dict[str, Any]:
        """Sends until standard input says to stop or is closed.

        Returns:
            How many were sent and acknowledged, and why others were not.
        """
        began, steady = time.monotonic(), 0
        with selectors.DefaultSelector() as commands:
            commands.register(sys.stdin, selectors.EVENT_READ)
            while True:
                if commands.select(_TICK) and not self._obey(sys.stdin.readline().split()):
                    break
                due = int((time.monotonic() - began) * self._rate)
                self._send([self._events.next() for _ in range(due - steady)])
                steady = due
        self._producer.flush(_END_SECONDS)
        return {
            "sent": self._sent,
            "acknowledged": self._acknowledged,
            "failures": self._failures[:10],
        }

    def _obey(self, words: Sequence[str]) -> bool:
        """Does what a command says; returns whether to go on."""
        if not words or words[0] == "stop":
            return False
        make = self._events.bad if words[0] == "poison" else self._events.next
        self._send([make() for _ in range(int(words[1]))])
        return True

    def _send(self, events: Sequence[Event]) -> None:
        for event in events:
            while True:
                try:
                    self._producer.produce(
                        self._topic,
                        key=event.key,
                        value=event.value,
                        headers=list(event.headers),
                        on_delivery=self._delivered,
                    )
                    break
                except BufferError:
                    self._producer.poll(_TICK)
            self._sent += 1
        self._producer.poll(0)

    def _delivered(self, error: Any, _: Any) -> None:
        if error is None:
            self._acknowledged += 1
        else:
            self._failures.append(str(error))


def main(arguments: Sequence[str]) -> None:
    """Sends, and says what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.harness.sender")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    parser.add_argument("--poison", type=float, required=True, help="the share that cannot be scored")
    parser.add_argument("--seed", type=int, required=True)
    told = parser.parse_args(arguments)
    sender = Sender(told.bootstrap, told.topic, told.rate, Events(told.seed, told.poison))
    print(json.dumps(sender.run()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
