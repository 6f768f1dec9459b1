"""The live page shows what it is told, to whoever looks: a real server and a real browser, made-up states."""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from consumer.operations.measures import EVENT_AGE
from consumer.settings import ConsumerSettings
from consumer.web import history, stream
from consumer.web.server import serving
from consumer.web.state import History, State
from shared.settings import load
from tests.support.browser import Tab, faults_found_by_axe, opened
from tests.support.pages import Look, sample_history, sample_state

pytestmark = pytest.mark.slow

LOOKS: list[Look] = ["calm", "busy", "failing", "watched", "broken", "masked", "figures", "empty"]
PHONE = {"width": 390, "height": 844}

# JavaScript that the tests run within the page.
STATUS = "document.body.dataset.status"
GROUND = "getComputedStyle(document.documentElement).backgroundColor"
FIVE_STATES = """() => new Promise((done) => {
    const source = new EventSource("/page/stream");
    let heard = 0;
    source.addEventListener("state", () => { heard += 1; if (heard === 5) { source.close(); done(); } });
})"""
NOTE_ANNOUNCEMENTS = """() => {
    window.announced = [];
    const told = new MutationObserver((changes) => window.announced.push(changes[0].target.textContent));
    for (const element of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
        told.observe(element, { subtree: true, childList: true, characterData: true });
    }
}"""
# The words that charts write, with the place of each: [text, left, right, top, id of the chart].
NOTE_WORDS = """() => {
    window.written = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const wide = this.measureText(text).width;
        const at = this.getTransform().transformPoint({ x, y });
        const left = { right: at.x - wide, center: at.x - wide / 2 }[this.textAlign] ?? at.x;
        const chart = this.canvas.closest(".chart")?.id;
        window.written.push([text, left, left + wide, at.y, chart]);
        return write.apply(this, arguments);
    };
}"""
IN_ONE_LINE = """[...document.querySelectorAll(".score")].every((element) => {
    if (!element.checkVisibility()) return true;
    const text = document.createRange();
    text.selectNodeContents(element);
    return text.getClientRects().length === 1 && element.scrollWidth <= element.clientWidth;
})"""
MOVING = """[...document.querySelectorAll("*")].filter((element) => {
    const style = getComputedStyle(element);
    const moves = (times) => times.split(",").some((time) => parseFloat(time) > 0);
    return moves(style.transitionDuration) || moves(style.animationDuration);
}).length"""
USABLE = """[...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']"
)].filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled)
    .map((element) => [...document.querySelectorAll("*")].indexOf(element))"""
FOCUSED = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"


def as_it_is(state: State) -> State:
    """The state as the sample has it."""
    return state


def scored(state: State, scores: Sequence[float]) -> State:
    """The state with other scores, in turn."""
    latest = state.latest
    assert latest is not None
    told = [{**one, "score": score} for one, score in zip(latest["predictions"], cycle(scores), strict=False)]
    return state.model_copy(update={"latest": {**latest, "predictions": told}})


@dataclass
class MadeUp:
    """Tells the server of a consumer that looks as a test says.

    Attributes:
        look: How it looks.
        stopped: Whether nothing new is told.
        address: Where the page is.
        now: The moment of its state.
        change: What is otherwise about its state.
    """

    look: Look = "calm"
    stopped: bool = False
    address: str = ""
    now: float = field(default=0.0, init=False)
    change: Callable[[State], State] = as_it_is

    def tick(self) -> None:
        if not self.stopped:
            self.now = time.time()

    def state(self) -> State:
        state = sample_state(self.look, self.now)
        # So that a test can see which look the page has.
        about = state.about.model_copy(update={"group": self.look})
        return self.change(state.model_copy(update={"about": about}))

    def history(self) -> History:
        return sample_history(self.look, self.now)


@pytest.fixture(scope="module")
def server() -> Iterator[MadeUp]:
    """Serves the page of a made-up consumer, whose state comes ten times a second."""
    consumer = MadeUp()
    options = ["--model", "models/churn-linear", "--http-port", "0", "--send-form"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "Watch", lambda *_: consumer)
        patch.setattr(stream, "PERIOD", 0.1)
        with serving(load(ConsumerSettings, options, "python -m consumer"), list) as port:
            consumer.address = f"http://127.0.0.1:{port}/"
            yield consumer


@pytest.fixture
def consumer(server: MadeUp) -> MadeUp:
    """The made-up consumer, which is calm again."""
    server.look, server.stopped, server.change = "calm", False, as_it_is
    return server


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """An empty page on a desktop, in light."""
    with opened(browser) as tab:
        yield tab


def show(tab: Tab, consumer: MadeUp, look: Look) -> Page:
    """Opens the page of a consumer with a look."""
    consumer.look = look
    tab.open(consumer.address)
    expect(tab.page.locator("#about-group")).to_have_text(look)
    return tab.page


def tab_to(page: Page, target: Locator) -> None:
    """Presses the tab key until it is reached."""
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"the tab key does not reach {target}")


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_is_free_of_faults(tab: Tab, consumer: MadeUp, look: Look) -> None:
    page = show(tab, consumer, look)
    expect(page.locator("canvas")).to_have_count(5)
    assert faults_found_by_axe(page) == ""
    assert (tab.console, tab.failures) == ([], [])
    assert all(address.startswith(consumer.address) for address in tab.requests)


@pytest.mark.parametrize("look", ["calm", "failing", "broken"])
def test_a_dark_phone_shows_the_same(browser: Browser, consumer: MadeUp, look: Look) -> None:
    with opened(browser, **PHONE, color_scheme="dark", has_touch=True, is_mobile=True) as tab:
        page = show(tab, consumer, look)
        assert int(re.findall(r"\d+", page.evaluate(GROUND))[0]) < 50
        assert faults_found_by_axe(page) == ""
        assert (tab.console, tab.failures) == ([], [])


@pytest.mark.parametrize("width", [320, 390, 800])
def test_nothing_is_wider_than_the_window(browser: Browser, consumer: MadeUp, width: int) -> None:
    with opened(browser, width) as tab:
        page = show(tab, consumer, "busy")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_figures_and_verdicts_are_those_of_the_state(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "watched")
    figures = {
        "#read": "604,806",
        "#scored": "598,170",
        "#rejected": "6,636",
        "#rate": "999",
        "#rejected-rate": "10",
        "#agreement": "95.51%",
        "#lag-total": "12",
        "#p50": "21.7 ms",
        "#p99": "89.7 ms",
    }
    for place, text in figures.items():
        expect(page.locator(place)).to_have_text(text)
    expect(page.locator(".big.second")).to_have_text("10 rejected/s, in the last second")
    expect(page.locator("#balanced")).to_contain_text("Balanced")
    expect(page.locator("#sentinel-verdict")).to_contain_text("0 disagreements")
    expect(page.locator("#proof-verdict")).to_contain_text("Holds")
    expect(page.locator("#partitions tbody tr")).to_have_count(6)
    expect(page.locator("#worker-table tbody tr")).to_have_attribute("data-state", "ready")


def test_what_is_wrong_is_said_where_it_is_looked_for(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "broken")
    expect(page.locator("#sentinel-verdict")).to_contain_text("disagree")
    expect(page.locator("#proof-verdict")).to_contain_text("Does not hold")
    expect(page.locator("#shadow-off")).to_contain_text("Switched off")
    expect(page.locator("[data-reason='not_json'] small")).to_have_text("it is not JSON")
    consumer.look = "failing"
    expect(page.locator("body")).to_have_attribute("data-status", "not-ready")
    expect(page.locator("#banner")).to_have_text("No worker is at work.")
    expect(page.locator("#why")).to_contain_text("Worker 0: not ready: its process ended")
    expect(page.locator("[data-worker='1']")).to_have_attribute("data-state", "silent")


def test_a_masked_page_holds_no_customer_and_a_page_of_figures_no_event(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "masked")
    expect(page.locator("#prediction-list > li")).to_have_count(8)
    page.locator("[data-reason='missing_field'] .look").click()
    expect(page.locator("#letter")).to_be_visible()
    assert not re.search(r"40121|40,121|evt-", page.content())
    page = show(tab, consumer, "figures")
    expect(page.locator("#predictions-empty")).to_contain_text("--page events")
    expect(page.locator("#prediction-list > li")).to_have_count(0)
    expect(page.locator(".look:visible")).to_have_count(0)


def written(page: Page, chart: str) -> list[tuple[str, float, float, float]]:
    """The words of a chart and where each is: left, right and top."""
    return [tuple(one[:4]) for one in page.evaluate("window.written") if one[4] == chart]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_score_is_never_broken(browser: Browser, consumer: MadeUp, width: int) -> None:
    scores = [0.0092257, 0.00000012345678, 0.912712345, 1_234_567.5]
    consumer.change = lambda state: scored(state, scores)
    with opened(browser, width) as tab:
        page = show(tab, consumer, "calm")
        expect(page.locator(".score").nth(1)).to_have_text("0.000000123457")
        assert page.evaluate(IN_ONE_LINE)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_few_events_are_counted_in_whole_numbers_and_near_marks_stand_apart(
    tab: Tab, consumer: MadeUp
) -> None:
    counts = [0] * (len(EVENT_AGE.bounds) + 1)
    counts[3] = 2
    few = {"counts": counts, "p50": EVENT_AGE.bounds[3] * 0.8, "p99": EVENT_AGE.bounds[3] * 0.82}
    consumer.change = lambda state: state.model_copy(update={"latency": state.latency.model_copy(update=few)})
    tab.page.add_init_script(f"({NOTE_WORDS})()")
    page = show(tab, consumer, "calm")
    page.wait_for_function("window.written.some(([text]) => text === 'p99')")
    words = written(page, "chart-histogram")
    assert {text for text, *_ in words if re.fullmatch(r"[\d.]+", text)} == {"0", "1", "2", "3", "4"}
    (p50,) = {tuple(place) for text, *place in words if text == "p50"}
    (p99,) = {tuple(place) for text, *place in words if text == "p99"}
    assert p50[1] < p99[0]


def test_commands_are_those_that_the_page_is_told(tab: Tab, consumer: MadeUp) -> None:
    told = sample_state("empty").about.commands
    page = show(tab, consumer, "empty")
    expect(page.locator("#no-events-command")).to_have_text(told.send)
    expect(page.locator("#proof-command")).to_have_text(told.prove)
    page = show(tab, consumer, "calm")
    page.locator("[data-reason='out_of_range'] .look").click()
    position = page.locator("#letter-title").inner_text()
    expect(page.locator("#letter-command")).to_have_text(f"{told.show_letter} {position}")


def test_the_content_of_an_event_is_text_and_nothing_else(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "calm")
    page.locator("[data-reason='not_json'] .look").click()
    expect(page.locator("#letter-value")).to_contain_text("<b>not json</b>")
    expect(page.locator("#letter-value *")).to_have_count(0)


def test_old_news_is_shown_as_old_though_the_connection_lives(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "calm")
    expect(page.locator("body")).to_have_attribute("data-status", "live")
    consumer.stopped = True
    expect(page.locator("body")).to_have_attribute("data-status", "stale")
    expect(page.locator("#banner")).to_contain_text("No news since")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults_found_by_axe(page) == ""
    consumer.stopped = False
    expect(page.locator("body")).to_have_attribute("data-status", "live")


def test_a_page_too_many_is_told_so_and_goes_on_when_another_is_closed(
    tab: Tab, consumer: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(stream, "_AT_ONCE", 0)
        tab.open(consumer.address)
        told = "0 pages are open, as many as there may be: close one. This page goes on trying."
        expect(tab.page.locator("#banner")).to_have_text(told)
        expect(tab.page.locator("#status")).to_have_text("Turned away")
    expect(tab.page.locator("body")).to_have_attribute("data-status", "live")


@pytest.mark.parametrize("button", ["Send", "Send a broken one", "Edit as text"])
def test_a_form_that_could_not_be_had_is_asked_for_again(tab: Tab, consumer: MadeUp, button: str) -> None:
    step = json.dumps({"step": "failed", "text": "no broker"})
    tab.page.route("**/page/send", lambda route: route.fulfill(body=f"{step}\n"))
    tab.page.route("**/page/form", lambda route: route.fulfill(status=503, body="no model"))
    page = show(tab, consumer, "calm")
    problem, fields = page.get_by_role("alert"), page.locator(".send-field")
    press = page.get_by_role("button", name=button, exact=True)
    expect(problem).to_have_text("The form cannot be shown: no model")
    with page.expect_response("**/page/form"):
        press.click()
    page.unroute("**/page/form")
    press.click()
    expect(problem).to_be_hidden()
    expect(fields).not_to_have_count(0)
    if button == "Edit as text":
        expect(page.locator("#send-raw")).to_have_value(re.compile("customerID"))
    else:
        expect(page.locator("#send-steps")).to_contain_text("no broker")
    assert [line for line in tab.console if "503" not in line] == []


def test_a_consumer_that_is_started_again_with_a_form_or_without_one_is_shown_so(
    tab: Tab, consumer: MadeUp
) -> None:
    page = show(tab, consumer, "busy")
    form = page.locator("#send")
    expect(form).to_be_hidden()
    for _ in range(2):
        consumer.look = "calm"
        expect(form).to_be_visible()
        expect(form.locator(".send-field")).not_to_have_count(0)
        consumer.look = "busy"
        expect(form).to_be_hidden()
    assert (tab.console, tab.failures) == ([], [])


def test_a_letter_is_opened_and_closed_by_keyboard_alone(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "calm")
    look = page.locator("[data-reason='out_of_range'] .look")
    tab_to(page, look)
    page.keyboard.press("Enter")
    expect(page.locator("#letter")).to_be_visible()
    expect(page.locator("#letter-detail")).to_contain_text("charges is -4")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults_found_by_axe(page) == ""
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('header, main, footer')") is None
    page.keyboard.press("Escape")
    expect(page.locator("#letter")).to_be_hidden()
    expect(look).to_be_focused()


def test_the_tab_key_reaches_all_that_can_be_used_in_the_order_of_the_page(
    tab: Tab, consumer: MadeUp
) -> None:
    page = show(tab, consumer, "watched")
    expect(page.locator("#proof-report")).to_be_visible()
    usable, reached = page.evaluate(USABLE), []
    for _ in usable:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    assert len(usable) > 10
    assert reached == usable


def test_the_first_link_leads_past_the_head(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "calm")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_a_screen_reader_is_told_of_changes_and_not_of_every_second(tab: Tab, consumer: MadeUp) -> None:
    page = show(tab, consumer, "calm")
    expect(page.locator("body")).to_have_attribute("data-status", "live")
    page.evaluate(NOTE_ANNOUNCEMENTS)
    page.evaluate(FIVE_STATES)
    assert page.evaluate("window.announced") == []
    consumer.look = "failing"
    expect(page.locator("body")).to_have_attribute("data-status", "not-ready")
    page.evaluate(FIVE_STATES)
    assert page.evaluate("window.announced") == ["No worker is at work."]


def test_nothing_moves_for_who_asks_for_that(browser: Browser, consumer: MadeUp) -> None:
    moving = {}
    for wish in ("no-preference", "reduce"):
        with opened(browser, reduced_motion=wish) as tab:
            moving[wish] = show(tab, consumer, "busy").evaluate(MOVING)
    assert moving["no-preference"] > 0
    assert moving["reduce"] == 0


def test_without_javascript_the_page_says_where_the_figures_are(browser: Browser, consumer: MadeUp) -> None:
    with opened(browser, java_script_enabled=False) as tab:
        tab.open(consumer.address)
        expect(tab.page.locator("noscript p")).to_contain_text("/page/state")
