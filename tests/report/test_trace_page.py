"""The page: it holds all that the trace has, needs nothing from elsewhere, and no text of a trace is markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from traces import histories, letters

from smcdsl.inference.events import Died, Site, Started
from smcdsl.report.trace import page
from smcdsl.report.trace.page import page_of
from smcdsl.report.trace.populations import populations
from smcdsl.report.trace.svg import LEVELS, ess_svg, level, tree_svg

VOID = {"meta", "link", "br", "hr", "img", "input"}
KNOWN = {
    *(
        "html head meta title style body header h1 h2 h3 p main section div ul li span small em table thead tbody"
    ).split(),
    *("tr th td button i noscript script label select option svg g path circle polyline text rect").split(),
}


class Reader(HTMLParser):
    """Elements with their attributes, the text of scripts, and whether everything is closed."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.scripts, self.texts = [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open[-1:] == ["script"] else self.texts).append(data)


def page_for(events):
    return page_of(populations(events))


def checked(source):
    """The page's data, after all that must hold for every page."""
    reader = Reader(source)
    assert {tag for tag, _ in reader.elements} <= KNOWN
    for tag, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "srcdoc")], tag
    data, script = reader.scripts
    policy = next(own["content"] for tag, own in reader.elements if own.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in source.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c\u2028\u2029]", source
    )
    return json.loads(data)


@settings(max_examples=25)
@given(histories())
def test_no_text_of_a_trace_is_markup(events):
    checked(page_for(events))


@settings(max_examples=12)
@given(histories())
def test_pictures_are_xml(events):
    for population in populations(events):
        ElementTree.fromstring(tree_svg(population))
        ElementTree.fromstring(ess_svg(population))


def test_the_classic_attacks_are_text():
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202e{{data}}"
    events = [
        Started(0, 0.0, 1, 0, attack, attack, (attack,), (1,)),
        Died(0, 0.0, 0, attack, attack, attack, 0, attack),
        Site(0, 0.0, 1, (attack,), (0.0,), (True,), 1.0, 1, {attack: (1, 0)}, (0,), ((),), None, {attack: 1.0}),
    ]
    source = page_for(events)
    data = checked(source)
    assert "onerror=alert(1)&gt;" in source
    assert data[0]["steps"][0]["pieces"] == [attack.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")]
    assert "<img" not in source


def test_the_page_has_what_the_run_has():
    result = letters(seed=2)
    (population,) = populations(result.trace.events)
    (told,) = checked(page_for(result.trace.events))
    assert told["size"] == 16
    assert len(told["steps"]) == len(population.steps)
    for step, own in enumerate(told["steps"]):
        origins = own["origins"] or list(range(16))
        assert tuple(origins) == population.origins[step]
        for slot in range(16):
            weight = population.steps[step].log_weights[slot]
            assert own["weights"][slot] == (None if weight == float("-inf") else pytest.approx(weight, abs=1e-5))
            made = own["changes"]["made"]
            changes = made[own["changes"]["of"][slot]] if made else []
            assert [change[0] for change in changes] == [each.factor for each in population.steps[step].changes[slot]]
        assert ("level" in own) == (step in population.resampled)
    for slot, view in enumerate(result.particles):
        pieces = [told["steps"][step]["pieces"][at] for step, at in enumerate(population.line(slot))]
        assert "".join(pieces) == view.text.replace("\n", "\\n")
    source = page_for(result.trace.events)
    assert source.count('class="death"') == len(population.deaths)
    assert source.count('<tr data-slot="') == 16


def test_large_populations_are_drawn_in_shades():
    result = letters(particles=256, seed=2)
    source = page_for(result.trace.events)
    checked(source)
    assert 'class="shade shade' in source
    assert len(source) < 400_000


def test_a_page_has_room_for_some_populations(monkeypatch):
    monkeypatch.setattr(page, "MOST_POPULATIONS", 3)
    found = populations(letters(islands=5, particles=4, seed=1).trace.events)
    assert len(found) == 5
    reader = Reader(page_of(found, 4))
    assert sum(tag == "option" for tag, _ in reader.elements) == 3
    assert [own["data-population"] for tag, own in reader.elements if tag == "section" and "hidden" not in own] == ["2"]


def test_shades_are_of_multiples_of_the_mean():
    assert level(0.0) == -1
    assert level(1e-9) == 0
    assert [level(least) for least in LEVELS[1:]] == [1, 2, 3, 4, 5]
    assert level(1.0) == 3


@pytest.mark.parametrize("name", ["page.html", "page.css", "page.js", "trace.css"])
def test_parts_of_the_page_fetch_nothing(name):
    part = page._read(name)
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "fetch(", "import", "url("):
        assert word not in part


@pytest.mark.long
def test_the_page_is_walked_with_the_keyboard(tmp_path):
    """In a browser, where there is one: keys move through the tree, nothing is fetched, nothing is complained about."""
    playwright = pytest.importorskip("playwright.sync_api")
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    events = letters(seed=2).trace.events
    (population,) = populations(events)
    (tmp_path / "t.html").write_text(page_for(events), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    complaints, asked = [], []
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser, args=flags)
        shown = opened.new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto((tmp_path / "t.html").as_uri())
        shown.keyboard.press("Tab")

        def place():
            words = shown.locator("section:not([hidden]) .said").inner_text()
            return re.match(r"site (\d+), slot (\d+)", words).groups()

        slot = int(place()[1])
        shown.keyboard.press("ArrowDown")
        line = population.line(slot + 1)
        assert place() == (str(len(line)), str(slot + 1))
        for step in range(len(line) - 1, 0, -1):
            shown.keyboard.press("ArrowLeft")
            assert place() == (str(step), str(line[step - 1]))
        shown.keyboard.press("End")
        assert place()[0] == str(len(line))
        opened.close()
    assert complaints == []
    assert asked == [(tmp_path / "t.html").as_uri()]
