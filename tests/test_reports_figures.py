"""What the figures show, and the words and numbers that go with them."""

import base64
import io
import re
from xml.etree import ElementTree as ET

import nights
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.changes import changes
from harness.checks._common import expected
from harness.history import series
from harness.model import Answer, Measurement, Status, Verdict
from reports._trend import trend
from reports.figures import _canvas, _heat, _plain, figures_of
from reports.figures._numbers import thinned
from reports.figures.loss import Bound, anchors_of, bounds_of, limits


def test_figures_by_what_was_recorded():
    named = lambda run: [figure.name for figure in figures_of(run)]  # noqa: E731
    assert named(nights.a_run()) == ["loss", "step_time", "memory", "gradients", "updates"]
    assert named(nights.one_step()) == ["loss", "gradients", "updates"]
    assert named(nights.timed_out()) == []
    nothing = nights.completed(nights.trace(ratio=np.full((12, 4), np.nan)), measurements={})
    assert named(nights.a_run(facts=nothing)) == ["loss", "gradients"]


def svg_of(figure):
    return ET.fromstring(str(figure.svg))


def figure(run, name):
    return next(found for found in figures_of(run) if found.name == name)


def texts_of(figure):
    return [
        "".join(element.itertext()).strip()
        for element in svg_of(figure).iter()
        if element.tag.endswith("text")
    ]


def test_the_loss_has_its_anchors_named():
    drawn = figure(
        nights.a_run(facts=nights.completed(nights.trace(), problem=nights.problem(floor=2.4))), "loss"
    )
    assert {"ln 27 = 3.296", "H0 = 2.87", "H1 = 2.4"} <= set(texts_of(drawn))
    assert drawn.numbers == (
        "Loss 3.3 at step 0, 2.5 at step 11; lowest 2.5, highest 3.3; ln 27 is 3.296; H0 is 2.87; H1 is 2.4."
    )
    assert drawn.how.startswith(
        "The curve should leave its start and fall without jumps. Dashed: ln 27, a model"
    )
    assert "Bars: what final_loss, initial_loss allow." in drawn.how


def test_a_loss_that_is_not_finite_is_marked_where_it_begins():
    drawn = figure(nights.exploded(), "loss")
    assert "not finite from step 3" in texts_of(drawn)
    assert "not finite from step 3" in drawn.numbers
    assert drawn.rows[3][1] == "nan"


@pytest.mark.parametrize("loss", [[np.nan] * 4, [np.inf, 1.0], [0.0] * 3, [1e300, 1e-300], [5.0]])
def test_any_loss_can_be_drawn(loss):
    found = figures_of(nights.a_run(facts=nights.completed(nights.trace(loss=loss), problem=None)))
    assert found[0].name == "loss"
    assert all(svg_of(drawn).tag.endswith("svg") for drawn in found)


@pytest.mark.parametrize(("low", "high"), [(3.131, 3.461), (None, 2.75), (1e-5, None), (12345.0, 23456.0)])
def test_bounds_are_read_from_the_words_that_checks_write(low, high):
    verdict = Verdict(check="final_loss", status=Status.FAIL, expected=expected(low, high, ""))
    assert bounds_of([verdict], 28) == (
        Bound(check="final_loss", step=27, low=rounded(low), high=rounded(high), held=False),
    )


def rounded(value):
    return None if value is None else float(f"{value:.4g}")


def test_bounds_of_other_checks_and_other_units_are_left_alone():
    other = Verdict(check="step_time", status=Status.PASS, expected="<= 36")
    drop = Verdict(check="loss_drop", status=Status.PASS, expected=">= 3 %", unit="%")
    words = Verdict(check="final_loss", status=Status.PASS, expected="any finite value")
    assert bounds_of([other, drop, words], 28) == ()


def test_a_bound_at_a_step_stands_at_that_step():
    verdict = Verdict(
        check="loss_at", status=Status.PASS, expected="<= 3.3", message="3.2 at step 7, expected <= 3.3"
    )
    assert [bound.step for bound in bounds_of([verdict], 28)] == [7]
    assert bounds_of([verdict], 7) == ()


def test_far_anchors_do_not_flatten_the_curve():
    low, high = limits(np.array([10.8, 10.5]), {"ln 49,152": 10.8027, "H1": 1.4}, ())
    assert 10 < low < 10.5
    assert 10.8027 < high < 11


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=20))
@settings(deadline=None)
def test_every_finite_loss_lies_inside_the_picture(values):
    loss = np.array(values, float)
    low, high = limits(loss, {}, ())
    assert low < high
    assert all(low < value < high for value in loss[np.isfinite(loss)])


def test_anchors_that_are_unknown_are_left_out():
    assert anchors_of(nights.exploded()) == {}
    assert anchors_of(nights.timed_out()) == {}


def heat(**changes):
    plain = {"name": "n", "title": "", "how": "", "numbers": "", "ticks": (), "far": np.abs}
    return _heat.Heat(**{**plain, "colours": ("#000000", "#ffffff"), "scale": lambda given: given, **changes})


def test_colours_of_a_heat_map():
    seen = np.array([[0.0, np.nan, np.inf], [1.0, 1e-9, 7.0]])
    pixels = _heat.colours_of(seen, heat())
    assert pixels.shape == (3, 2, 4)
    assert pixels[0].tolist() == [list(_heat.ZERO), [255, 255, 255, 255]]
    assert pixels[1].tolist() == [list(_heat.BAD), [0, 0, 0, 255]]
    assert pixels[2].tolist() == [list(_heat.BAD), [255, 255, 255, 255]]


def test_absent_values_are_no_alarm_where_they_may_be_absent():
    pixels = _heat.colours_of(np.array([[np.nan], [np.inf]]), heat(blank_nan=True))
    assert pixels[0].tolist() == [list(_heat.ABSENT), list(_heat.BAD)]


def test_a_heat_map_in_the_page_holds_a_pixel_for_each_tensor_and_step():
    pixels = picture_of(figure(nights.exploded(), "gradients"), (4, 6))
    assert [tuple(pixel) for pixel in pixels[:, 5]] == [_heat.BAD, _heat.BAD, _heat.ZERO, _heat.BAD]


def picture_of(figure, shape):
    """The embedded picture of a given number of rows and columns, top row first."""
    found = re.findall(r'href="data:image/png;base64,\s*([^"]+)"', str(figure.svg))
    images = [Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA") for data in found]
    sized = [np.asarray(image) for image in images if image.size == shape[::-1]]
    assert sized, [image.size for image in images]
    transform = re.search(r'<image[^>]*transform="([^"]*)"', str(figure.svg))
    return sized[0][::-1] if transform and "scale(1 -1)" in transform.group(1) else sized[0]


@given(st.integers(1, 900), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_columns_that_share_steps_show_the_most_suspicious(steps, seed):
    values = np.random.default_rng(seed).standard_normal((steps, 2))
    values[np.random.default_rng(seed + 1).random((steps, 2)) < 0.01] = np.nan
    seen, size = _heat.binned(values, np.abs)
    assert len(seen) == -(-steps // size) <= _heat.COLUMNS
    for column in range(len(seen)):
        for tensor in range(2):
            part = values[column * size : (column + 1) * size, tensor]
            worst = np.nan if np.isnan(part).any() else part[np.abs(part).argmax()]
            assert seen[column, tensor] == worst or (np.isnan(worst) and np.isnan(seen[column, tensor]))


def test_gradient_numbers_name_what_is_wrong():
    drawn = figure(nights.exploded(), "gradients")
    assert drawn.numbers == (
        "Gradient norms of 4 tensors over 6 steps; 0.3 to 0.3; zero: layers.0.feed_forward.up.weight; "
        "not finite: embedding, layers.0.attention.query, head $x_1$."
    )
    assert drawn.rows[2] == (
        "layers.0.feed_forward.up.weight", "0", "0", "0", "0", "6 steps, first 0", ""
    )  # fmt: skip


def test_update_numbers_say_what_never_moved():
    drawn = figure(nights.stuck(), "updates")
    assert "0 to 0, median 0; not moved: embedding, layers.0.attention.query" in drawn.numbers


def test_hundreds_of_tensors_each_have_a_row():
    drawn = figure(nights.deep(), "gradients")
    assert len(drawn.rows) == len(nights.DEEP) == 272
    assert {nights.DEEP[0], nights.DEEP[-1]} <= set(texts_of(drawn))


def test_names_are_text_and_never_formulas():
    assert "head $x_1$" in texts_of(figure(nights.a_run(), "gradients"))


def test_memory_bars_are_as_long_as_their_bytes():
    drawn = figure(nights.a_run(), "memory")
    assert drawn.numbers == "Peak memory: build 1.907 MiB, train 8.583 MiB, evaluate 5.722 MiB."
    assert drawn.rows[1] == ("train", "8.583 MiB", "9,000,000")
    lengths = bar_lengths(drawn)
    assert lengths == pytest.approx([2 / 9, 1.0, 6 / 9], abs=1e-3)


def bar_lengths(drawn):
    """Widths of all bars over the widest."""
    bars = [element for element in svg_of(drawn).iter() if element.tag.endswith("rect")]
    widths = [float(element.get("width")) for element in bars]
    return [width / max(widths) for width in widths]


def test_step_times_have_median_and_spread():
    drawn = figure(nights.a_run(), "step_time")
    assert (
        drawn.numbers
        == "20 timed steps: median 1.224 ms, middle half 1.212 ms to 1.236 ms, slowest 1.248 ms."
    )


def test_long_tables_say_what_they_leave_out():
    drawn = figure(nights.a_run(facts=nights.completed(nights.trace(steps=700))), "loss")
    assert len(drawn.rows) == 60
    assert (drawn.rows[0][0], drawn.rows[-1][0]) == ("0", "699")
    assert drawn.note == "60 of 700 steps, evenly chosen."


def test_figures_take_their_colours_from_the_page():
    for drawn in figures_of(nights.exploded()):
        assert "var(--ink)" in drawn.svg or "var(--muted)" in drawn.svg
        assert not re.search(r"#0102\d\d|font-family|<metadata|<style|#000000", str(drawn.svg)), drawn.name


@given(st.lists(st.floats(0, 200), min_size=1, max_size=6))
@settings(deadline=None)
def test_labels_are_moved_apart_in_their_order(places):
    moved = _canvas.spread_out(places, 14.0)
    order = np.argsort(places, kind="stable")
    gaps = np.diff(np.array(moved)[order])
    assert all(gap > 13.0 for gap in gaps)
    assert np.mean(moved) == pytest.approx(np.mean(places), abs=1e-6)


@given(st.integers(1, 5000), st.integers(2, 100))
@settings(deadline=None)
def test_thinned_keeps_first_and_last(count, limit):
    kept = thinned(count, limit)
    assert len(kept) == min(count, limit)
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert sorted(set(kept)) == kept


def timed(number, seconds, **changes):
    found = {"step_time": Measurement(name="step_time", value=seconds, unit="s")}
    return nights.a_run(number, facts=nights.completed(None, measurements=found), **changes)


def drawn_of(runs, verdict=None):
    return trend(series(runs, "step_time"), changes(runs, ["step_time"]), "{}.html".format, verdict)


def places(text):
    return [tuple(map(float, pair.split())) for pair in re.findall(r"M([\d. ]+)h0", text)]


def test_a_trend_puts_the_newest_run_at_the_right_and_the_highest_on_top():
    drawn = drawn_of([timed(0, 2.0), timed(1, 1.0, status=Status.FAIL), timed(2, 4.0)])
    assert places(drawn.dots) == [(6.0, 54.0), (140.0, 78.0), (274.0, 6.0)]
    assert [(mark.x, mark.y) for mark in drawn.bad] == [(140.0, 78.0)]
    assert drawn.bad[0].text == "fail, 1 s, 2025-06-03, 3fbd4bf0c1"
    assert drawn.bad[0].page == "000x0001.html"
    assert (drawn.newest.x, drawn.newest.page) == (274.0, "000x0002.html")
    assert (drawn.latest, drawn.low, drawn.high) == ("4 s", "1 s", "4 s")


def test_a_still_series_looks_still():
    (_, one), (_, other) = places(drawn_of([timed(0, 1.001), timed(1, 1.0)]).dots)
    assert abs(one - other) < 1.0


def test_a_lasting_change_has_a_mark_where_it_begins():
    noise = [0.0, 0.01, -0.01, 0.005, -0.005] * 6
    runs = [timed(at, (1.0 if at < 15 else 1.5) + noise[at]) for at in range(30)]
    (mark,) = drawn_of(runs).steps
    assert mark.x == places(drawn_of(runs).dots)[15][0]
    assert mark.text == "rose 50 %, 1 s to 1.5 s"
    assert mark.page == "000x0015.html"


def test_where_the_machine_changed_the_line_breaks():
    elsewhere = {**nights.ENVIRONMENT, "cpu": "Xeon"}
    runs = [timed(at, 1.0, **({"environment": elsewhere} if at > 2 else {})) for at in range(6)]
    drawn = drawn_of(runs)
    assert [mark.text for mark in drawn.breaks] == ["CPU model: EPYC and Xeon"]
    assert drawn.breaks[0].x == places(drawn.dots)[3][0]
    assert [len(line.split()) for line in drawn.lines] == [3, 3]


@pytest.mark.parametrize(
    ("expected", "heights"), [("<= 1.1 s", 1), ("900 ms to 1.1 s", 2), ("<= 9 s", 0), ("a few", 0)]
)
def test_near_bounds_are_drawn(expected, heights):
    verdict = Verdict(check="step_time", status=Status.PASS, expected=expected, unit="s")
    assert len(drawn_of([timed(0, 1.0), timed(1, 1.0)], verdict).bounds) == heights


@pytest.mark.parametrize("runs", [[], [nights.timed_out()], [timed(0, float("nan"))]])
def test_no_trend_without_numbers(runs):
    assert drawn_of(runs) is None


def test_one_run_and_values_of_zero_have_a_trend():
    assert drawn_of([timed(0, 0.0)]).newest.x == 274.0


@given(st.floats(1e-9, 1e9), st.integers(2, 8))
@settings(deadline=None)
def test_ticks_are_round_few_and_inside(top, most):
    ticks = _plain.round_ticks(top, most)
    assert 2 <= len(ticks) <= most + 1
    assert (ticks[0], ticks[-1] <= top * (1 + 1e-6)) == (0.0, True)


@given(st.integers(0, 100000))
@settings(deadline=None)
def test_whole_ticks_are_whole_few_and_inside(last):
    ticks = _plain.whole_ticks(last)
    assert ticks[0] == 0
    assert ticks[-1] <= last
    assert 1 <= len(ticks) <= 8


def held(losses, expected="-0.02 % to 0.02 %"):
    answer = Answer(facts={"losses": list(losses)})
    verdict = Verdict(check="matches_baseline", status=Status.PASS, expected=expected, unit="%")
    return nights.a_run(
        facts=nights.completed(nights.trace(), answers={"recorded": answer}), verdicts=(verdict,)
    )


def colours(drawn):
    """How many dots are drawn in each colour."""
    marks = [one for one in svg_of(drawn).iter() if "stroke-linecap" in (one.get("style") or "")]
    return {one.get("stroke"): len(re.findall("h0", one.get("d"))) for one in marks if one.get("d")}


def test_losses_stand_beside_their_baseline_in_its_band():
    losses = nights.trace().loss
    drawn = figure(held(losses * np.array([1.0001] * 8 + [0.99] * 4)), "baseline")
    assert drawn.numbers == (
        "12 losses beside the recorded ones; the farthest 1.01 % at step 8; on average 0.33 %;"
        " allowed 0.02 % either way."
    )
    assert colours(drawn) == {"var(--accent)": 8, "var(--fail)": 4}
    assert drawn.rows[0][0] == "0"
    (band,) = [one for one in svg_of(drawn).iter() if one.tag.endswith("rect")]
    assert float(band.get("height")) < 10


def test_the_same_losses_and_lost_ones_are_told():
    losses = nights.trace().loss
    assert "all the same" in figure(held(losses, expected=""), "baseline").numbers
    worse = losses.copy()
    worse[3] = np.nan
    assert "not finite: 1" in figure(held(worse), "baseline").numbers
    assert [one.name for one in figures_of(nights.a_run())].count("baseline") == 0
