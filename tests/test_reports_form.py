"""What a browser and a screen reader need of every page: form, names, links, colours."""

import re
from itertools import pairwise
from pathlib import Path

import nights
import pytest
from pages import page_of, parsed, two_nights

import reports
from reports.figures import _canvas


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    reports.render(nights.History(two_nights()), folder, rebases=nights.REBASES)
    return folder


def test_pages_are_well_formed_and_their_ids_unique(site):
    for path in site.rglob("*.html"):
        page = parsed(path)
        assert page.faults == [], path
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids)), path
        names = {
            name
            for _, attributes in page.elements
            for name in (attributes.get("aria-labelledby") or "").split()
        }
        assert names <= set(ids), path


def test_references_inside_figures_resolve(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        ids = set(re.findall(r' id="([^"]+)"', text))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= ids, path


def test_every_page_has_language_title_heading_landmarks_and_skip_link(site):
    for path in site.rglob("*.html"):
        page = parsed(path)
        assert page.all("html") == [{"lang": "en"}]
        assert [len(page.all(tag)) for tag in ("h1", "main", "nav", "header", "footer")] == [1] * 5
        assert path.read_text(encoding="utf-8").split("</head>")[0].count("<title>") == 1
        first_link = page.all("a")[0]
        assert first_link == {"class": "skip-link", "href": "#main"}
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
        assert all(after - before <= 1 for before, after in pairwise(levels)), path


def test_tables_have_captions_and_scopes_and_pictures_have_names(site):
    for path in site.rglob("*.html"):
        page = parsed(path)
        assert len(page.all("caption")) == len(page.all("table"))
        assert all(attributes.get("scope") in ("row", "col") for attributes in page.all("th")), path
        for attributes in page.all("svg"):
            assert attributes["role"] == "img"
            assert len(attributes["aria-label"]) > 20
        scrolling = [
            attributes
            for _, attributes in page.elements
            if "scroll" in (attributes.get("class") or "").split()
        ]
        assert all({"tabindex", "role"} <= set(attributes) for attributes in scrolling), path


def test_each_figure_says_how_to_read_it_and_has_its_numbers_as_a_table(site):
    page = page_of(site, nights.a_run)
    assert len(page.all("figure")) == len(page.all("figcaption")) == 5
    assert page.text.count("The numbers of ") == 5


def test_nothing_is_fetched_from_anywhere(site):
    for path in site.rglob("*.html"):
        page = parsed(path)
        assert "default-src 'none'" in [attributes.get("content") for attributes in page.all("meta")][2]
        for tag, attributes in page.elements:
            for name in ("src", "href", "action", "data", "poster", "srcset"):
                link = attributes.get(name) or ""
                assert not re.match(r"(?i)(?!data:)[a-z]+:|//|/", link), (path, tag, link)
        assert not re.search(r"@import|url\((?!#)", path.read_text(encoding="utf-8")), path


def test_every_link_leads_to_a_file(site):
    for path in site.rglob("*.html"):
        for attributes in parsed(path).all("a"):
            target = attributes["href"].split("#")[0]
            assert not target or (path.parent / target).is_file(), (path, target)


def test_every_page_is_reached_from_the_index(site):
    seen, todo = set(), [site / "index.html"]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            links = [attributes["href"] for attributes in parsed(path).all("a")]
            todo += [(path.parent / link).resolve() for link in links if not link.startswith("#")]
    assert seen == {path.resolve() for path in site.rglob("*.html")}


# Colour: WCAG 2.1, 1.4.3 (text) and 1.4.11 (graphics)


def schemes():
    css = (Path(reports.__file__).parent / "static" / "site.css").read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    return {
        name: dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", part))
        for name, part in (("light", light), ("dark", dark))
    }


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(scheme):
    colours = schemes()[scheme]
    pairs = [(f"--{state}", f"--{state}-bg") for state in ("pass", "fail", "error", "skip")]
    plain = ("--ink", "--muted", "--link", "--pass", "--fail", "--error", "--skip")
    pairs += [(text, ground) for text in plain for ground in ("--paper", "--card")]
    pairs += [("--ink", "--skip-bg"), ("--muted", "--skip-bg")]
    poor = {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_curves_and_focus_rings_stand_out_in_both_schemes(scheme):
    colours = schemes()[scheme]
    for name in ("--accent", "--focus", "--muted", "--fail", "--pass"):
        assert contrast(colours[name], colours["--card"]) >= 3, name


def test_both_schemes_name_the_same_colours():
    assert set(schemes()["light"]) == set(schemes()["dark"])
    assert set(_canvas.VARIABLES.values()) <= set(schemes()["light"])
