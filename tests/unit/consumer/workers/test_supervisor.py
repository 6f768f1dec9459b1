"""Workers that are looked after: real processes, which do as they are told and note what happens to them."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer import startup
from consumer.settings import ConsumerSettings
from consumer.workers.channel import Role
from consumer.workers.gathered import Gathered
from consumer.workers.policy import Policy, WorkerFailedError
from consumer.workers.supervisor import Supervisor
from shared.deadline import Deadline
from shared.errors import ExitCode
from shared.kafka.errors import BrokerTroubleError
from shared.kafka.topics import TopicInfo
from shared.settings import load
from shared.stop import Stop
from tests.support.commands import ROOT, command

SCRIPT = ROOT / "tests/support/fake_worker.py"
QUICK = {"first_pause": 0.01, "longest_pause": 0.05}
PATIENT = {"max_restarts": 10, "stall_timeout": 60.0, "shutdown_timeout": 20.0}


class Crew:
    """A supervisor on a thread of its own, over fake workers."""

    def __init__(self, folder: Path, *plans: list[str], **policy: float) -> None:
        self.folder = folder
        self.stop = Stop()
        self.gathered = Gathered(range(len(plans)))
        command = [sys.executable, "-S", str(SCRIPT), str(folder), json.dumps(dict(enumerate(plans)))]
        roles = [Role(number, f"name-{number}", 6) for number in range(len(plans))]
        told = Policy(**{**PATIENT, **QUICK, **policy})  # type: ignore[arg-type]
        self.supervisor = Supervisor(command, roles, told, self.stop, self.gathered)
        self.outcome: int | BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.supervisor.run()
        except BaseException as error:  # noqa: BLE001 - the test asks for it
            self.outcome = error

    def book(self) -> list[str]:
        book = self.folder / "book"
        return book.read_text().splitlines() if book.exists() else []

    def wait_for(self, line: str, times: int = 1) -> None:
        deadline = Deadline.after(20)
        while self.book().count(line) < times:
            assert not deadline.passed, (line, self.book(), self.outcome)
            assert self.outcome is None, (line, self.book(), self.outcome)
            deadline.pause(0.01)

    def wait_ready(self, *workers: int) -> None:
        deadline = Deadline.after(20)
        while not all(not self.gathered()[worker]["unready"] for worker in workers):
            assert not deadline.passed, self.gathered()
            deadline.pause(0.01)

    def end(self) -> int | BaseException | None:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.outcome

    def told_to_stop(self, *, interrupted: bool = False) -> int | BaseException | None:
        self.stop.interrupted = interrupted
        self.stop.request()
        return self.end()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="consumer"):
        yield caplog


def ends(log: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """What the lines `Worker ended` say."""
    return [vars(record) for record in log.records if record.message == "Worker ended"]


def test_workers_that_have_done_their_work_are_not_started_again(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ["finish"], ["finish"])
    assert crew.end() == ExitCode.DONE
    assert sorted(crew.book()) == ["0 started", "1 started"]


@pytest.mark.parametrize("how", ["crash", "fail 5", "fail 4", "leave 70", "leave 99"])
def test_a_worker_that_fails_is_started_again_and_the_others_stay(
    tmp_path: Path, how: str, log: pytest.LogCaptureFixture
) -> None:
    crew = Crew(tmp_path, ["work"], [how, how, "work"])
    crew.wait_for("1 ready")
    crew.wait_ready(0, 1)
    assert crew.told_to_stop() == ExitCode.DONE
    assert (crew.book().count("0 started"), crew.book().count("1 started")) == (1, 3)
    failed = [end for end in ends(log) if end["error"] is not None]
    assert [(end["worker"], end["instance"]) for end in failed] == [(1, "name-1")] * 2
    assert all(end["pause"] and end["pid"] for end in failed)


def test_a_worker_that_somebody_stopped_is_started_again_and_has_not_failed(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    crew = Crew(tmp_path, ["work"], max_restarts=0)
    for time in range(1, 4):
        crew.wait_for("0 ready", time)
        crew.wait_ready(0)
        pid = crew.gathered()[0]["pid"]
        os.kill(pid, [signal.SIGTERM, signal.SIGINT, signal.SIGTERM][time - 1])
    crew.wait_for("0 ready", 4)
    assert crew.told_to_stop() == ExitCode.DONE
    assert [end["error"] for end in ends(log)] == [None] * 4


def test_a_worker_that_fails_too_often_in_a_row_ends_all_with_its_code_and_its_sentence(
    tmp_path: Path,
) -> None:
    crew = Crew(tmp_path, ["work"], ["fail 4"], max_restarts=3)
    outcome = crew.end()
    assert isinstance(outcome, WorkerFailedError)
    assert outcome.exit_code == ExitCode.BROKER_UNREACHABLE
    assert "the sentence of the error" in outcome.message
    assert "worker 1 failed 4 times" in outcome.message
    assert crew.book().count("1 started") == 4
    assert f"0 stopped by {int(signal.SIGTERM)}" in crew.book()


def test_good_work_between_failures_makes_them_forgotten(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ["work"], max_restarts=1, good_work=0.2)
    for time in range(1, 4):
        crew.wait_for("0 ready", time)
        deadline = Deadline.after(20)
        while crew.supervisor._workers[0].failures or not crew.supervisor._workers[0].ready_since:
            assert not deadline.passed
            deadline.pause(0.01)
        os.kill(crew.gathered()[0]["pid"], signal.SIGKILL)
    crew.wait_for("0 ready", 4)
    assert crew.told_to_stop() == ExitCode.DONE


@pytest.mark.parametrize("code", [1, 2, 3])
def test_what_a_restart_does_not_mend_ends_all_at_once_with_the_same_code(tmp_path: Path, code: int) -> None:
    crew = Crew(tmp_path, ["work"], [f"fail {code}"])
    outcome = crew.end()
    assert isinstance(outcome, WorkerFailedError)
    assert (outcome.exit_code, outcome.message) == (code, "worker 1: the sentence of the error")
    assert crew.book().count("1 started") == 1


def test_a_worker_that_is_killed_again_and_again_ends_the_run_as_a_fault(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ["crash"], max_restarts=1)
    outcome = crew.end()
    assert isinstance(outcome, WorkerFailedError)
    assert outcome.exit_code == ExitCode.FAULT
    assert "killed by signal 9" in outcome.message


def test_a_silent_worker_is_killed_and_started_again(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    crew = Crew(tmp_path, ["work"], ["mute", "work"], stall_timeout=1.0)
    crew.wait_for("1 started", 2)
    crew.wait_ready(0, 1)
    assert crew.told_to_stop() == ExitCode.DONE
    assert crew.book().count("0 started") == 1
    (silent,) = [end for end in ends(log) if end["error"] is not None]
    assert silent["exit_code"] == ExitCode.FENCED_OR_STALLED
    assert "not heard of" in str(silent["error"])


@pytest.mark.parametrize(
    ("interrupted", "number", "code"), [(False, signal.SIGTERM, 0), (True, signal.SIGINT, 130)]
)
def test_all_workers_are_told_what_the_supervisor_was_told(
    tmp_path: Path, interrupted: bool, number: int, code: int
) -> None:
    crew = Crew(tmp_path, ["work"], ["work"], ["work"])
    crew.wait_ready(0, 1, 2)
    assert crew.told_to_stop(interrupted=interrupted) == code
    stopped = [line for line in crew.book() if "stopped" in line]
    assert sorted(stopped) == [f"{worker} stopped by {int(number)}" for worker in range(3)]


def test_those_that_do_not_end_within_the_one_deadline_are_killed_and_the_run_was_stalled(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    crew = Crew(tmp_path, ["deaf"], ["work"], ["deaf"], shutdown_timeout=0.5)
    crew.wait_ready(0, 1, 2)
    pids = [snapshot["pid"] for snapshot in crew.gathered()]
    assert crew.told_to_stop() == ExitCode.FENCED_OR_STALLED
    assert f"1 stopped by {int(signal.SIGTERM)}" in crew.book()
    assert [end["worker"] for end in ends(log) if end["error"] is not None] == [0, 2]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_rolling_restart_takes_one_worker_after_the_other_each_when_the_former_is_ready(
    tmp_path: Path,
) -> None:
    crew = Crew(tmp_path, ["work"], ["work"], ["work"])
    crew.wait_ready(0, 1, 2)
    crew.supervisor.restart_all()
    crew.wait_for("2 ready", 2)
    assert crew.told_to_stop() == ExitCode.DONE
    stopped = f"stopped by {int(signal.SIGTERM)}"
    # The successor is there before the worker makes room.
    expected = [f"{worker} {what}" for worker in range(3) for what in ("started", stopped, "ready")]
    assert crew.book()[6:15] == expected


@pytest.mark.parametrize("how", ["fail 3", "crash", "leave 5"])
def test_a_successor_that_cannot_start_leaves_the_old_workers_at_work(
    tmp_path: Path, how: str, log: pytest.LogCaptureFixture
) -> None:
    crew = Crew(tmp_path, ["work"], ["work", how], ["work"], max_restarts=0)
    crew.wait_ready(0, 1, 2)
    crew.supervisor.restart_all()
    deadline = Deadline.after(20)
    while not any("given up" in record.message for record in log.records):
        assert not deadline.passed
        deadline.pause(0.01)
    crew.wait_ready(0, 1, 2)
    stopped = [line for line in crew.book() if "stopped" in line]
    assert stopped == [f"0 stopped by {int(signal.SIGTERM)}"]
    assert crew.told_to_stop() == ExitCode.DONE


def test_a_stop_in_the_middle_of_a_rolling_restart_tells_no_worker_twice(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ["deaf", "work"], ["work"], shutdown_timeout=1.0)
    crew.wait_ready(0, 1)
    crew.supervisor.restart_all()
    crew.wait_for(f"0 told {int(signal.SIGTERM)}")
    assert crew.told_to_stop() == ExitCode.FENCED_OR_STALLED
    assert crew.book().count(f"0 told {int(signal.SIGTERM)}") == 1
    assert crew.book().count(f"1 stopped by {int(signal.SIGTERM)}") == 1


def test_a_worker_that_does_not_end_for_its_restart_is_killed_for_it(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ["deaf", "work"], ["work"], shutdown_timeout=0.3, max_restarts=0)
    crew.wait_ready(0, 1)
    crew.supervisor.restart_all()
    crew.wait_for("1 ready", 2)
    assert crew.told_to_stop() == ExitCode.DONE
    assert crew.book().count("0 started") == 2


LONE = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unit.consumer.workers.test_supervisor import Crew
crew = Crew(Path({folder!r}), ["work"], ["work"])
crew.wait_ready(0, 1)
print("ready", flush=True)
crew.end()
"""


def test_workers_notice_that_their_supervisor_was_killed(tmp_path: Path) -> None:
    script = LONE.format(root=str(ROOT), folder=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as lone:
        assert lone.stdout is not None
        assert lone.stdout.readline() == "ready\n"
        lone.kill()
    deadline = Deadline.after(20)
    while sum("alone" in line for line in (tmp_path / "book").read_text().splitlines()) < 2:
        assert not deadline.passed
        deadline.pause(0.01)


def test_pauses_double_up_to_the_longest_and_are_spread() -> None:
    policy = Policy(10, 60.0, 20.0)
    assert [policy.pause(failures, 1.0) for failures in (1, 2, 3, 6, 7, 1_000)] == [0.5, 1, 2, 16, 30, 30]
    assert policy.pause(3, 0.0) == 1.5


def test_a_worker_is_started_by_nobody_but_its_supervisor() -> None:
    done = command("consumer", "worker", "--model", "models/threshold")
    assert done.code == ExitCode.USAGE
    assert "started by its supervisor" in done.errors


def test_events_are_not_counted_over_several_processes() -> None:
    done = command("consumer", "--model", "models/threshold", "--workers", "2", "--max-events", "5")
    assert done.code == ExitCode.USAGE
    assert "--max-events counts the events of one process" in done.errors


def test_a_broker_that_fails_while_the_topics_are_looked_at_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[int] = []

    def prepare(settings: ConsumerSettings, _: Deadline) -> TopicInfo:
        tries.append(1)
        if len(tries) < 3:
            raise BrokerTroubleError("it is being restarted")
        return TopicInfo(settings.input_topic, 6, {})

    monkeypatch.setattr(startup, "_PAUSE", 0)
    monkeypatch.setattr(startup, "_prepare", prepare)
    monkeypatch.setattr(startup, "wait_for_broker", lambda *_: None)
    settings = load(ConsumerSettings, ["--model", "models/threshold"], "consumer")
    assert startup.prepare_topics(settings).partitions == 6
    settings = settings.model_copy(update={"broker_timeout": 0.0})
    tries.clear()
    with pytest.raises(BrokerTroubleError):
        startup.prepare_topics(settings)
