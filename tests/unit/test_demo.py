"""The demo's own arithmetic and waiting; tests/integration/test_demo.py runs it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from demo.commands import CommandFailedError, Commands, wait_until
from demo.figures import Latency, Stream, busiest_rate
from demo.topics import Topics
from demo.verdict import give_verdict
from shared.deadline import Deadline
from shared.errors import StalledError
from shared.kafka.connection import KafkaSettings

NOWHERE = KafkaSettings(bootstrap_servers="nowhere:1", kafka_option={"security_protocol": "SSL"})


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(NOWHERE, tmp_path, Console(file=io.StringIO()))


def test_the_rate_is_that_of_the_longest_run_of_work() -> None:
    quiet = np.arange(0, 1000, 100)
    # 1,000 events in each of ten batches 100 ms apart; the first batch was begun before its timestamp.
    busy = np.repeat(np.arange(5000, 6000, 100), 1000)
    assert busiest_rate(np.concatenate([busy, quiet])) == pytest.approx(9000 / 0.9)


def test_a_single_batch_has_no_rate() -> None:
    assert busiest_rate(np.full(10, 7)) == 0


def test_waiting_ends_with_the_deadline() -> None:
    with pytest.raises(StalledError, match="Waited too long for nothing"):
        wait_until(lambda: False, Deadline.after(0), "nothing")


def test_a_command_that_fails_stops_the_demo(commands: Commands) -> None:
    with pytest.raises(CommandFailedError, match=r"python -m json\.tool --nonsense ended with status 2"):
        commands.run("json.tool", "--nonsense")


def test_an_answer_of_no_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "says_no.py").write_text("import sys\nprint('{\"agrees\": false}')\nsys.exit(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = Commands(NOWHERE, tmp_path, Console(file=io.StringIO()))
    assert told.answer("says_no") == {"agrees": False}


def test_only_how_to_reach_the_broker_is_handed_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set for commands of one's own must not change what the demo's commands do."""
    (tmp_path / "tells.py").write_text(
        "import json, os\nprint(json.dumps({n: v for n, v in os.environ.items() if 'TANDEM' in n}))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("TANDEM_MODEL", "TANDEM_INPUT_TOPIC", "TANDEM_KAFKA_OPTION"):
        monkeypatch.setenv(name, "mine")
    assert Commands(NOWHERE, tmp_path, Console(file=io.StringIO())).answer("tells") == {
        "TANDEM_BOOTSTRAP_SERVERS": "nowhere:1",
        "TANDEM_BROKER_TIMEOUT": "30.0",
        "TANDEM_KAFKA_OPTION": '{"security_protocol": "SSL"}',
        "TANDEM_LOG_FORMAT": "human",
    }


def test_a_background_command_that_ends_early_is_told_with_its_last_words(commands: Commands) -> None:
    with (
        pytest.raises(CommandFailedError, match="unrecognized arguments: --nonsense"),
        commands.running("early", "json.tool", "--nonsense"),
    ):
        pytest.fail("it never was ready")


@pytest.mark.parametrize(("proved", "right"), [(True, True), (False, True), (True, False)])
def test_events_that_come_once_the_proof_has_begun_change_no_verdict(
    proved: bool, right: bool, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "batch").mkdir()
    manifest = {"counts": {"read": 10}, "run": {"rows_per_second": 1e6}}
    (tmp_path / "batch" / "manifest.json").write_text(json.dumps(manifest))
    proof = {"holds": proved, "counts": {"identical": 9}, "ledger": [{"of_no_event": 0}], "certificate": "c"}
    monkeypatch.setattr(Commands, "run", lambda *_: None)
    monkeypatch.setattr(Commands, "answer", lambda *_: proof)
    found = {
        "wait_until_settled": None,
        "run_lesson": right,
        "_measure_latency": Latency(20.0, 90.0, 9),
        # One more than is proved.
        "stream_figures": Stream(10, 10, 0, 1000.0),
    }
    for name, value in found.items():
        monkeypatch.setattr(f"demo.verdict.{name}", lambda *_, value=value: value)
    console, topics = Console(file=io.StringIO()), Topics("e", "p", "d", "g")
    assert give_verdict(commands, NOWHERE, topics, tmp_path, tmp_path, console) == (proved and right)
