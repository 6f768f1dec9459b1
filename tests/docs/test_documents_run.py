"""Every command and every piece of Python in the documents does what it says."""

import doctest
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks_of

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DIRECTIVES = {"", "skip", "background", "retry", "env"}
_SECONDS = 120.0


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder that has the shipped models, as a clone has."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    return tmp_path


def with_blocks(*languages: str) -> list[Path]:
    return [
        document
        for document in DOCUMENTS
        if any(block.language in languages and block.directive != "skip" for block in blocks_of(document))
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_skipped_block_says_why_and_other_directives_are_known(document: Path) -> None:
    for block in blocks_of(document):
        assert block.directive in DIRECTIVES, f"{name_of(document)}:{block.line}"
        assert block.directive != "skip" or len(block.how.split()) > 3, "a reason is missing"


@pytest.mark.parametrize("document", with_blocks("python"), ids=name_of)
def test_python_in_a_document_gives_what_stands_there(
    document: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "document"}
    for block in blocks_of(document):
        if block.language != "python" or block.directive == "skip":
            continue
        if ">>>" in block.text:
            parsed = doctest.DocTestParser().get_doctest(
                block.text, names, name_of(document), str(document), block.line
            )
            said: list[str] = []
            results = doctest.DocTestRunner().run(parsed, out=said.append, clear_globs=False)
            assert results.failed == 0, "".join(said)
            names.update(parsed.globs)
        else:
            exec(compile(block.text, f"{document}:{block.line}", "exec"), names)  # noqa: S102 - our own text


@pytest.mark.broker
@pytest.mark.parametrize("document", with_blocks("bash", "console"), ids=name_of)
def test_commands_in_a_document_succeed(document: Path, folder: Path, broker: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TANDEM_BOOTSTRAP_SERVERS": broker,
    }
    with ExitStack() as background:
        for block in blocks_of(document):
            where = f"{name_of(document)}:{block.line}"
            if block.language == "python" or block.directive == "skip":
                continue
            if block.directive == "background":
                background.enter_context(running(block, folder, environment, where))
            else:
                run(block, folder, environment, where)


def run(block: Block, folder: Path, environment: dict[str, str], where: str) -> None:
    """Runs a block to its end; one to be tried again, until it succeeds."""
    if block.directive == "env":
        environment = {**environment, **dict(pair.split("=", 1) for pair in block.how.split()[1:])}
    deadline = time.monotonic() + _SECONDS
    while True:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return
        if block.directive != "retry" or time.monotonic() > deadline:
            pytest.fail(f"{where} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")


@contextmanager
def running(block: Block, folder: Path, environment: dict[str, str], where: str) -> Iterator[None]:
    """Runs a block in the background, from when it says that it is ready."""
    log = folder / f"line-{block.line}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"exec {block.script}"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + _SECONDS
        while not re.search(r"\bready\b", log.read_text(), re.IGNORECASE):
            assert process.poll() is None, f"{where} ended early:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{where} is not ready:\n{log.read_text()}"
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(_SECONDS)
    assert status == 0, f"{where} ended with status {status}:\n{log.read_text()}"
