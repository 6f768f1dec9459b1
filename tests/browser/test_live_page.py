"""The live page of a real consumer on a real Kafka, in a real browser: what happens is seen.

One consumer for all tests, in the order in which they stand: the last one kills it.
"""

import json
import os
import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from batch.report.write import write_report
from shared.kafka.connection import KafkaSettings
from tests.support import reports
from tests.support.broker import free_port
from tests.support.browser import PATIENCE, Tab, faults_found_by_axe, opened
from tests.support.commands import Running, running
from tests.support.models import change_model
from tests.support.topics import Pipeline, make_pipeline

pytestmark = [pytest.mark.broker, pytest.mark.slow]

# A figure of the page as a number; JavaScript.
FIGURE = "id => Number(document.getElementById(id).textContent.replaceAll(',', ''))"


@dataclass
class Consumer:
    """A consumer with two workers, and a producer that sends it events.

    Attributes:
        pipeline: Its topics.
        model: The link to its model.
        port: Where its page is.
        options: All that it is told.
        process: Its supervisor.
        producer: Sends.
    """

    pipeline: Pipeline
    model: Path
    port: int
    options: list[str]
    processes: ExitStack
    process: Running = field(init=False)
    producer: Running = field(init=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Starts it, or starts it again."""
        self.process = self.processes.enter_context(running("consumer", *self.options))
        self.process.wait_for('"Ready"')

    def send(self) -> None:
        """Begins to send events, some of them broken, until it is told to end."""
        where = [
            "--bootstrap-servers",
            self.pipeline.kafka.bootstrap_servers,
            "--topic",
            self.pipeline.events,
        ]
        rate = ["--count", "0", "--rate", "200", "--bad-ratio", "0.05"]
        self.producer = self.processes.enter_context(running("producer", *where, *rate))

    def metric(self, name: str) -> int:
        """A counter of its metrics, over all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            series = (line.rpartition(" ") for line in answer.read().decode().splitlines())
        return round(sum(float(value) for what, _, value in series if what.partition("{")[0] == name))


@pytest.fixture(scope="module")
def consumer(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consumer]:
    """A consumer with everything, and a producer."""
    folder = tmp_path_factory.mktemp("live")
    shutil.copytree("models/churn", folder / "v1")
    change_model(shutil.copytree("models/churn", folder / "v2"), version="next")
    link = folder / "model"
    link.symlink_to("v1")
    write_report(folder / "proof", reports.holding())
    pipeline = make_pipeline(KafkaSettings(bootstrap_servers=broker, broker_timeout=20))
    port = free_port()
    options = pipeline.options(
        link,
        *("--workers", "2", "--http-port", str(port), "--watch-model", "0.5", "--send-form"),
        *("--shadow", "models/churn-linear", "--shadow-topic", f"{pipeline.name}-shadow", "--create-topics"),
        *("--sentinel", "0.2", "--proof", str(folder / "proof"), "--reject-limit", "1"),
    )
    with ExitStack() as processes:
        made = Consumer(pipeline, link, port, options, processes)
        made.start()
        made.send()
        yield made


@contextmanager
def watching(browser: Browser, consumer: Consumer) -> Iterator[Tab]:
    """The page of a consumer that scores events."""
    with opened(browser) as tab:
        tab.page.set_default_timeout(PATIENCE)
        tab.open(consumer.address)
        expect(tab.page.locator("body")).to_have_attribute("data-status", "live")
        more_than(tab.page, "read", 0)
        yield tab


@pytest.fixture
def tab(browser: Browser, consumer: Consumer) -> Iterator[Tab]:
    """Its page, on which nothing may go wrong."""
    with watching(browser, consumer) as tab:
        yield tab
        # Of answers that a script reads in pieces, Chromium calls nine of ten cut, in any plain page.
        streamed = (f"{consumer.address}page/send", "net::ERR_ABORTED")
        failures = [failure for failure in tab.failures if failure != streamed]
        assert (tab.console, failures) == ([], [])
        assert all(address.startswith(consumer.address) for address in tab.requests)


def more_than(page: Page, figure: str, least: int) -> int:
    """A figure of the page, once it is larger than that."""
    page.wait_for_function(f"([id, least]) => ({FIGURE})(id) > least", arg=[figure, least], timeout=PATIENCE)
    return int(page.evaluate(FIGURE, figure))


def test_the_figures_change_as_events_flow(tab: Tab, consumer: Consumer) -> None:
    page = tab.page
    read = more_than(page, "read", 0)
    for figure in ("rate", "scored", "rejected", "commits"):
        more_than(page, figure, 0)
    assert more_than(page, "read", read) > read
    expect(page.locator("#balanced")).to_contain_text("Balanced")
    expect(page.locator("#partitions tbody tr")).to_have_count(consumer.pipeline.partitions)
    expect(page.locator("#worker-table [data-state=ready]")).to_have_count(2)
    expect(page.locator("#agreement")).to_contain_text("%")
    expect(page.locator("#sentinel-verdict")).to_contain_text("0 disagreements")
    expect(page.locator("#proof-verdict")).to_contain_text("Holds")
    expect(page.locator("#p99")).to_contain_text("s")
    expect(page.locator("#chart-events-text")).to_contain_text("events a second")
    assert faults_found_by_axe(page) == ""


def test_predictions_come_with_the_inputs_that_mattered_and_stand_still_when_paused(tab: Tab) -> None:
    page = tab.page
    predictions = page.locator("#prediction-list > li")
    shown = "() => [...document.querySelectorAll('#prediction-list > li')].map(one => one.dataset.position)"
    expect(predictions.first.locator(".inputs li").first).to_be_visible()
    before = page.evaluate(shown)
    page.wait_for_function(f"before => String(({shown})()) !== String(before)", arg=before, timeout=PATIENCE)
    page.locator("#pause").press("Enter")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    page.locator("#title").click()
    before, read = page.evaluate(shown), more_than(page, "read", 0)
    more_than(page, "read", read)
    assert page.evaluate(shown) == before
    page.locator("#pause").press("Enter")
    page.locator("#pause").blur()
    page.wait_for_function(f"before => String(({shown})()) !== String(before)", arg=before, timeout=PATIENCE)


def test_an_event_sent_by_hand_is_followed_to_its_prediction_and_a_broken_one_to_its_letter(
    tab: Tab, consumer: Consumer
) -> None:
    page = tab.page
    page.get_by_label("event_id").fill("by-hand-1")
    published = page.locator("#send-steps .published")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(published.locator("pre")).to_contain_text('"event_id":"by-hand-1"')
    for step in ("received", "connected", "stored", "scored"):
        expect(page.locator(f"#send-steps .{step}")).to_be_visible()
    sent = page.locator("#send-steps .stored code").inner_text()
    text, place = published.locator("pre").inner_text(), published.locator("> code").inner_text()
    assert record_at(consumer.pipeline, place) == text
    assert json.loads(text)["prediction_id"] == sent
    page.get_by_role("button", name="Send a broken one").click()
    expect(published.locator(".verdict")).to_contain_text("Rejected: truncated")
    sent = page.locator("#send-steps .stored code").inner_text()
    assert consumer.pipeline.rejected()[sent] == "truncated"
    expect(page.locator("#send-steps .failed")).to_have_count(0)
    assert faults_found_by_axe(page) == ""


def record_at(pipeline: Pipeline, place: str) -> str:
    """The value of a prediction's record, as a reader of committed records finds it."""
    _, partition, offset = place.rsplit("/", 2)
    for columns in pipeline.read(pipeline.predictions):
        if columns.partition == int(partition) and int(offset) in columns.offsets:
            return (columns.values[columns.offsets.index(int(offset))] or b"").decode()
    pytest.fail(f"there is no record at {place}")


def test_a_dead_letter_is_looked_at_by_keyboard_alone(tab: Tab) -> None:
    page = tab.page
    row = page.locator("#reasons tbody tr", has=page.locator(".look:visible")).first
    reason, look = row.get_attribute("data-reason"), row.locator(".look")
    look.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#letter")).to_be_visible()
    expect(page.locator("#letter-facts")).to_contain_text(str(reason))
    expect(page.locator("#letter-command")).to_contain_text(page.locator("#letter-title").inner_text())
    page.keyboard.press("Escape")
    expect(page.locator("#letter")).to_be_hidden()
    expect(look).to_be_focused()


def test_the_report_of_the_proof_opens_from_the_page(browser: Browser, consumer: Consumer) -> None:
    with watching(browser, consumer) as tab:
        tab.page.locator("#proof-report").click()
        expect(tab.page).to_have_url(f"{consumer.address}page/report")
        expect(tab.page.locator("h1")).to_contain_text("Identical and conserved")
        assert tab.console == []
        # The page that was left listens no more.
        assert {address for address, _ in tab.failures} == {f"{consumer.address}page/stream"}


def test_a_model_that_is_swapped_in_stands_in_the_history(tab: Tab, consumer: Consumer) -> None:
    page = tab.page
    expect(page.locator("#swaps .started", has_text="as champion")).to_contain_text("churn@")
    following = consumer.model.with_name("following")
    following.symlink_to("v2")
    following.rename(consumer.model)
    expect(page.locator("#swaps .swapped").first).to_contain_text("churn@next was swapped in")
    champion = page.locator("#models-in-use tr", has_text="champion")
    expect(champion).to_have_count(1)
    expect(champion).to_contain_text("churn@next")


def test_a_worker_that_is_silent_is_named(tab: Tab) -> None:
    page = tab.page
    worker = page.locator("#worker-table [data-worker='1']")
    process = int(worker.locator("td").nth(2).inner_text())
    with frozen(process):
        expect(worker).to_have_attribute("data-state", "silent")
        expect(page.locator("body")).to_have_attribute("data-status", "not-ready")
        expect(page.locator("#why")).to_contain_text("Worker 1: silent for")
    expect(worker).to_have_attribute("data-state", "ready")
    expect(page.locator("body")).to_have_attribute("data-status", "live")


@contextmanager
def frozen(process: int) -> Iterator[None]:
    """A process that stands still for as long as the block runs."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_consumer_that_stands_still_is_shown_as_stale(tab: Tab, consumer: Consumer) -> None:
    page = tab.page
    with frozen(consumer.process.process.pid):
        expect(page.locator("body")).to_have_attribute("data-status", "stale")
        expect(page.locator("#banner")).to_contain_text("No news since")
        expect(page.locator("#updated")).to_have_text(re.compile(r"updated ([4-9]|\d\d+) s ago"))
    expect(page.locator("body")).to_have_attribute("data-status", "live")
    read = more_than(page, "read", 0)
    more_than(page, "read", read)


def test_the_page_the_metrics_and_the_topics_agree_in_the_end(tab: Tab, consumer: Consumer) -> None:
    assert consumer.producer.end(signal.SIGINT) == 130
    sent = sum(len(columns) for columns in consumer.pipeline.read(consumer.pipeline.events))
    expect(tab.page.locator("#read")).to_have_text(f"{sent:,}")
    expect(tab.page.locator("#lag-total")).to_have_text("0")
    scored, rejected = (int(tab.page.evaluate(FIGURE, figure)) for figure in ("scored", "rejected"))
    assert scored + rejected == sent
    assert consumer.metric("tandem_events_read_total") == sent
    assert consumer.metric("tandem_events_scored_total") == scored
    assert consumer.metric("tandem_events_rejected_total") == rejected
    assert (len(consumer.pipeline.scored()), len(consumer.pipeline.rejected())) == (scored, rejected)


def test_a_consumer_that_is_killed_is_stale_and_the_page_goes_on_with_the_next(
    browser: Browser, consumer: Consumer
) -> None:
    with watching(browser, consumer) as tab:
        page = tab.page
        consumer.process.process.kill()
        expect(page.locator("body")).to_have_attribute("data-status", "stale")
        consumer.start()
        expect(page.locator("#restarted")).to_contain_text("started again")
        expect(page.locator("body")).to_have_attribute("data-status", "live")
        consumer.send()
        more_than(page, "read", 0)
        assert faults_found_by_axe(page) == ""
        page.get_by_role("button", name="Dismiss").press("Enter")
        expect(page.locator("#restarted")).to_be_hidden()
        # What was asked for while there was nobody, and nothing else.
        assert {address for address, _ in tab.failures} <= {f"{consumer.address}page/stream"}
        assert all("Failed to load resource: net::ERR_" in said for said in tab.console)
