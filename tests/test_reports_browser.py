"""The report in a real browser: telephones, dark mode, no network, no errors."""

import re
import shutil

import nights
import pytest
from pages import two_nights

import reports

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="needs chromium and chromedriver",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    reports.render(nights.History(two_nights()), folder, rebases=nights.REBASES)
    return folder


def shown(browser, path, width=1280, scheme="light"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    return browser


def pages(site):
    chosen = [
        nights.stuck(1, night=1),
        nights.timed_out(3, night=1),
        nights.deep(5, night=1),
        nights.one_step(6, night=1),
    ]
    runs = [site / "runs" / f"{run.id}.html" for run in chosen]
    return [site / "index.html", site / "rebases.html", *sorted((site / "cases").iterdir()), *runs]


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_scrolls_sideways(browser, site, width):
    for path in pages(site):
        wide = shown(browser, path, width).execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, path


def test_nothing_is_requested_but_the_page_itself(browser, site):
    browser.get_log("performance")
    for path in pages(site):
        shown(browser, path)
    requests = set()
    for entry in browser.get_log("performance"):
        if '"Network.requestWillBeSent"' in entry["message"]:
            requests |= set(re.findall(r'"request":\{.*?"url":"([^"]*)"', entry["message"]))
    assert {url for url in requests if not url.startswith("data:")} == {path.as_uri() for path in pages(site)}


def test_the_console_stays_silent(browser, site):
    browser.get_log("browser")
    for path in pages(site):
        shown(browser, path)
    assert browser.get_log("browser") == []


def test_the_first_column_of_the_matrix_stays_in_sight(browser, site):
    shown(browser, site / "index.html", 360)
    left = browser.execute_script(
        "const table = document.querySelector('table.matrix'); table.parentElement.scrollLeft = 200;"
        "return [table.parentElement.scrollLeft,"
        " table.querySelector('tbody th').getBoundingClientRect().left,"
        " table.parentElement.getBoundingClientRect().left]"
    )
    assert left[0] == 200
    assert left[1] - left[2] == pytest.approx(1, abs=1)


COLOURS = """
const style = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
return [style('body', 'backgroundColor'), style('body', 'color'), style('#loss svg text', 'fill'),
        style('td .badge.fail', 'color')]
"""


def test_dark_mode_reaches_page_and_figures(browser, site):
    path = site / "runs" / f"{nights.stuck(1, night=1).id}.html"
    light = shown(browser, path, scheme="light").execute_script(COLOURS)
    dark = shown(browser, path, scheme="dark").execute_script(COLOURS)
    assert light[:2] == ["rgb(251, 251, 250)", "rgb(27, 31, 36)"]
    assert dark[:2] == ["rgb(20, 23, 27)", "rgb(230, 233, 237)"]
    assert all(one != other for one, other in zip(light, dark, strict=True))


def test_figures_stand_inside_their_frames(browser, site):
    shown(browser, site / "runs" / f"{nights.a_run(0, night=1).id}.html", 360)
    widths = browser.execute_script(
        "return [...document.querySelectorAll('.figure:not(.wide) svg')].map(svg =>"
        " [svg.getBoundingClientRect().width, svg.parentElement.clientWidth])"
    )
    assert len(widths) == 3
    assert all(0 < drawn <= frame for drawn, frame in widths)


def test_no_text_of_a_figure_is_cut_off(browser, site):
    for path in pages(site):
        shown(browser, path)
        cut = browser.execute_script(
            "return [...document.querySelectorAll('.figure svg')].flatMap(svg => {"
            " const frame = svg.getBoundingClientRect();"
            " return [...svg.querySelectorAll('text')].filter(text => {"
            "  const box = text.getBoundingClientRect();"
            "  return box.left < frame.left - 1 || box.right > frame.right + 1"
            "   || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;"
            " }).map(text => text.textContent)})"
        )
        assert cut == [], path


def test_the_skip_link_appears_with_the_first_tab(browser, site):
    from selenium.webdriver.common.keys import Keys

    shown(browser, site / "index.html")
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    link = browser.switch_to.active_element
    assert link.text == "Skip to the content"
    assert link.rect["x"] >= 0


def test_every_control_and_picture_has_a_name_for_a_screen_reader(browser, site):
    for path in pages(site):
        shown(browser, path)
        tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        wanted = {"link", "image", "region", "table", "navigation"}
        nameless = [
            node["role"]["value"]
            for node in tree
            if not node.get("ignored") and node.get("role", {}).get("value") in wanted
            and not node.get("name", {}).get("value")
        ]  # fmt: skip
        assert nameless == [], path


VISIBLE = """
return [...document.querySelectorAll('table.matrix tbody tr')].filter(row => !row.hidden).map(row =>
  row.querySelector('th').textContent)
"""


def test_find_hides_what_does_not_hold_its_words_and_a_view_can_be_sent(browser, site):
    shown(browser, site / "index.html")
    field = browser.find_element("css selector", "input[type=search]")
    assert field.is_displayed()
    field.send_keys("MLP fail")
    assert browser.execute_script(VISIBLE) == ["mlp-regressor"]
    assert "of " in browser.find_element("css selector", "form.find output").text
    address = browser.current_url
    assert address.endswith("#find=MLP%20fail")
    browser.get("about:blank")
    browser.get(address)
    assert browser.execute_script(VISIBLE) == ["mlp-regressor"]
    field = browser.find_element("css selector", "input[type=search]")
    field.clear()
    field.send_keys(" ")
    assert len(browser.execute_script(VISIBLE)) == 7


IN_STATE = """
return [...document.querySelectorAll('table.matrix tbody tr')].every(row =>
  row.hidden !== [...row.querySelectorAll('td')].some(cell => cell.classList.contains(arguments[0])))
"""


@pytest.mark.parametrize("state", ["pass", "fail", "error", "skip"])
def test_the_name_of_a_state_finds_what_is_in_it_and_no_texts_that_name_it(browser, site, state):
    shown(browser, site / "index.html")
    browser.find_element("css selector", "input[type=search]").send_keys(state)
    assert 0 < len(browser.execute_script(VISIBLE)) < 7
    assert browser.execute_script(IN_STATE, state)


def test_without_scripts_the_field_is_not_there_and_the_page_is_whole(browser, site):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        shown(browser, site / "index.html")
        assert not browser.find_element("css selector", "form.find").is_displayed()
        rows = browser.find_elements("css selector", "table.matrix tbody tr")
        assert [row.is_displayed() for row in rows] == [True] * 7
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_mark_in_a_trend_leads_to_its_run(browser, site):
    shown(browser, site / "cases" / "cllm-minimal.html")
    link = browser.execute_script("return document.querySelector('figure.trend svg a').href.baseVal")
    assert (site / "cases" / link).resolve() == site / "runs" / "001x0000.html"


# the page of `harness doctor --html`


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from dataclasses import replace

    from harness.doctor import Ending, Training, examine
    from harness.model import Answer, Diagnosis, Facts, Outcome
    from reports._doctor import write_page

    path = tmp_path_factory.mktemp("doctor") / "doctor.html"
    name = "layers.with.a.long.name." * 12
    finding = Diagnosis(name="diverged", cause=f"<b>{name}</b> is sick", remedy="Heal it.", weight=0.9)
    losses = (*(3 - 0.1 * step for step in range(20)), float("nan"))
    training = Training(
        name="SGD 1", steps=21, tensors=2, parameters=10, losses=losses, rates=(0.1, 0.01),
    )  # fmt: skip
    facts = Facts(outcome=Outcome.COMPLETED, answers={"losses": Answer(skipped="nothing was seen")})
    seen = examine(f"{name}/train.py", [facts], Ending(how="completed"), [])
    write_page(replace(seen, findings=(finding,), guesses=(finding,), trainings=(training,)), path)
    return path


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_of_an_examination_fits_and_stands_by_itself(browser, page, width):
    browser.get_log("performance")
    browser.get_log("browser")
    shown(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    requested = {
        url
        for entry in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
        for url in re.findall(r'"request":\{.*?"url":"([^"]*)"', entry["message"])
    }
    assert {url for url in requested if not url.startswith(("data:", "chrome"))} == {page.as_uri()}
    assert browser.get_log("browser") == []


def test_the_page_of_an_examination_tells_all(browser, page):
    text = shown(browser, page).find_element("tag name", "main").text
    assert "is sick" in text
    assert "<b>" in text, "expected the words of a program as text"
    assert "Heal it." in text
    drawing = browser.find_element("css selector", "figure svg")
    assert drawing.get_attribute("aria-label") == "Loss by step"
    assert drawing.size["width"] > 200
    lines = [one.get_attribute("d") for one in browser.find_elements("css selector", "figure path")]
    assert max(len(line.split("L")) for line in lines) == 20
