"""Makes the pictures of the documents: `python -m tests.browser.pictures`, or `make pictures`.

A real consumer scores steady traffic on a Kafka in a container of its own for some minutes, so that there is
something in the charts; in that time more events come for a while, a worker is killed, and a model is swapped
in. The report is that of a real proof.
"""

import argparse
import json
import os
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from shared.deadline import Deadline
from tests.support.broker import free_port, own_broker
from tests.support.browser import opened, running_browser
from tests.support.commands import ROOT, command, running
from tests.support.models import change_model

FOLDER = ROOT / "docs" / "images"
# Bytes of a picture: documents are read on phones, too.
MOST = 400_000
WIDTH = 1280
PHONE = {"width": 390, "height": 844, "is_mobile": True, "has_touch": True}
BAD = ("--bad-ratio", "0.01")
# Pixels below what a picture ends with.
MARGIN = 20


@dataclass(frozen=True)
class Stage:
    """What the pictures are taken of.

    Attributes:
        kafka: The option that names it.
        folder: Holds two models, a link to the one in use, and the proof.
        port: Where the page is.
    """

    kafka: tuple[str, str]
    folder: Path
    port: int

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def consumer(self) -> list[str]:
        """The consumer's options."""
        return [
            *(*self.kafka, "--create-topics", "--workers", "2", "--http-port", str(self.port)),
            *("--model", str(self.folder / "churn"), "--watch-model", "1", "--shadow", "models/churn-linear"),
            *("--sentinel", "0.05", "--proof", str(self.folder / "proof")),
        ]

    def prepare(self) -> None:
        """Makes two versions of the shipped model, and the link."""
        for version in ("2", "3"):
            shutil.copytree(ROOT / "models" / "churn", self.folder / f"churn-{version}")
            change_model(self.folder / f"churn-{version}", version=version)
        (self.folder / "churn").symlink_to("churn-2")

    def prove(self) -> None:
        """Has events scored, and proves it."""
        sent = command("producer", *self.kafka, "--count", "30000", "--rate", "1500", *BAD)
        assert sent.code == 0, sent.errors
        deadline = Deadline.after(60)
        while self.state()["ledger"]["read"] < 30_000:
            assert not deadline.passed, "the events were not scored in time"
            deadline.pause(0.5)
        proof = ("--model", "models/churn", "--report", self.folder / "proof")
        proved = command("batch", "prove", *self.kafka, *proof)
        assert proved.code == 0, proved.errors

    def state(self) -> dict[str, Any]:
        """What the page is told."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/page/state", timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)
        return state

    def play(self, seconds: float) -> None:
        """Lets things happen for so many seconds, while events come."""
        part = Deadline.after(seconds)
        _pause(part, seconds * 0.7)
        burst = ("--count", str(round(seconds * 0.15 * 350)), "--rate", "350", "--seed", "2")
        with running("producer", *self.kafka, *burst):
            _pause(part, seconds * 0.5)
        os.kill(self.state()["workers"][1]["pid"], signal.SIGKILL)
        _pause(part, seconds * 0.2)
        following = self.folder / "following"
        following.symlink_to("churn-3")
        following.rename(self.folder / "churn")
        _pause(part, 0)


def _pause(deadline: Deadline, until: float) -> None:
    deadline.pause(deadline.remaining - until)


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes all pictures."""
    parser = argparse.ArgumentParser(description="Makes the pictures of the documents.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long events come (default: 10)")
    minutes = parser.parse_args(arguments).minutes
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = ("--bootstrap-servers", stack.enter_context(own_broker()).address)
        stage = Stage(kafka, folder, free_port())
        stage.prepare()
        consumer = stack.enter_context(running("consumer", *stage.consumer))
        consumer.wait_for('"Ready"')
        stage.prove()
        steady = ("--count", "0", "--rate", "500", "--seed", "1", *BAD)
        stack.enter_context(running("producer", *kafka, *steady))
        stage.play(minutes * 60)
        FOLDER.mkdir(exist_ok=True)
        take(stack.enter_context(running_browser()), stage)
        consumer.end(signal.SIGTERM)


def take(browser: Browser, stage: Stage) -> None:
    """Takes the pictures, now."""
    for name, last, looks in (
        ("live-page", "#lag", {"width": WIDTH}),
        ("live-page-dark", "#lag", {"width": WIDTH, "color_scheme": "dark"}),
        ("live-page-phone", "#ledger", PHONE),
    ):
        with opened(browser, **looks) as tab:
            tab.open(stage.page)
            expect(tab.page.locator("#status")).to_have_text("Live", timeout=30_000)
            expect(tab.page.locator("#p99")).to_contain_text("s", timeout=30_000)
            _save(tab.page, name, last)
    with opened(browser, WIDTH) as tab:
        tab.open(stage.folder / "proof" / "report.html")
        _save(tab.page, "report", "main > section")


def _save(page: Page, name: str, last: str) -> None:
    """Takes a picture of a page from its top to the end of an element."""
    box = page.locator(last).first.bounding_box()
    assert box is not None, f"{last} is not shown"
    size = page.viewport_size
    assert size is not None
    clip = {"x": 0, "y": 0, "width": size["width"], "height": box["y"] + box["height"] + MARGIN}
    picture = page.screenshot(path=FOLDER / f"{name}.png", full_page=True, clip=clip)  # type: ignore[arg-type]
    assert len(picture) < MOST, (
        f"{name}.png has {len(picture):,} bytes: end it at another element than {last}"
    )


if __name__ == "__main__":
    main()
