"""Proposed bounds on their way into the case file."""

import re
import shutil
from pathlib import Path

import pytest
from bounded import EXPECT, case_of, numbers_in
from tiny import TINY, write

from harness import adjust
from harness.calibrate import Bound, Calibration, with_proposals
from harness.cases import load_cases, read_cases
from harness.documents import read
from harness.model import HarnessError
from harness.proposals import rounded
from harness.write_bounds import read_text, write_bounds
from harness.yaml_edit import at

ROOT = Path(__file__).parents[1]
HERE = Path("case.yaml")
EPS = 2.0**-23
KIB, MIB = 2**10, 2**20


UNITS = {"%": "%", "kB": "B", "MiB": "B", "KiB": "B", "GiB": "B", "ms": "s", "s": "s", "tokens/s": "token/s"}


def bound(keys, texts, values=(0.03, 0.04), kind="spread"):
    """A proposal. keys: with dots below `expect`; texts and values: present and proposed."""
    (text, new_text), (present, proposed) = texts, values
    place = ("expect", *keys.split(".")) if isinstance(keys, str) else keys
    return Bound(
        place=place, unit="", kind=kind, side="high", present=present, text=text, proposed=proposed,
        new_text=new_text, figures={}, decided_by="",
    )  # fmt: skip


def calibration(case, *bounds, absent=()):
    return Calibration(case=case, seeds=8, runs={}, absent=dict(absent), bounds=bounds)


def moved_a_little(case, root):
    """For every number that the case's own file bounds: a proposal a little above the present one."""
    sections = [key for key in ("expect", "expect_on") if key in root.mapping]
    for place in [place for key in sections for place in numbers_in(root.mapping[key], (key,))]:
        size = 2 if place[0] == "expect" else 3
        checks = case.expect if size == 2 else case.expect_on[place[1]]
        check, text = checks[place[size - 1]], at(root, place).text
        present = adjust.number_at(check, place[size:])
        unit = UNITS.get(text.lstrip("0123456789.e-+ "), "")
        new_text, proposed = rounded(1.01 * present, text, unit, up=True)
        count = text.isdigit() and isinstance(place[-1], str) and place[-1] not in {"at_least", "at_most"}
        if proposed != present and not count:
            yield bound(place, (text, new_text), (present, proposed))


def has_bounds(root):
    """Whether a case file expects something itself; null only takes an inherited expectation away."""
    found = at(root, ("expect",))
    return found is not None and any(child.value is not None for child in found.mapping.values())


def with_expectations():
    """The shipped cases that expect something in their own file."""
    cases = load_cases([ROOT / "cases"]).cases
    return [
        str(case.path.relative_to(ROOT / "cases"))
        for case in cases
        if case.name == case.path.stem and has_bounds(read(case.path))
    ]


@pytest.mark.parametrize("name", with_expectations())
def test_every_byte_of_a_shipped_case_stays_but_the_numbers(tmp_path, name):
    folder = shutil.copytree(ROOT / "cases", tmp_path / "cases")
    [case] = [case for case in load_cases([folder]).cases if case.path == folder / name]
    before = (folder / name).read_bytes()
    proposals = list(moved_a_little(case, read(case.path)))
    done = write_bounds(calibration(case, *proposals), before)
    after = (folder / name).read_bytes()
    assert (len(done.changes), done.left) == (len(proposals), ())
    # Masked, nothing differs: same comments, order, quotes, spaces and line ends.
    masked = [re.sub(rb"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", b"N", data) for data in (before, after)]
    assert masked[0] == masked[1]
    assert proposals
    assert before != after
    comments = [re.findall(rb"#.*", data) for data in (before, after)]
    assert comments[0] == comments[1]
    loaded = read_cases([folder])
    assert loaded.mistakes == ()
    [fresh] = [each for each in loaded.cases if each.path == folder / name]
    assert fresh.revision == case.revision + 1
    assert fresh.expect == with_proposals(case, proposals).expect
    assert fresh.expect_on == with_proposals(case, proposals).expect_on
    assert not any(entry.name.startswith(".") for entry in folder.iterdir())


def test_nothing_is_written_where_no_bound_changes(tmp_path):
    case = case_of(tmp_path)
    before = case.path.read_bytes()
    same = bound("loss_drop.at_least", ("3%", "3%"), (0.03, 0.03))
    done = write_bounds(calibration(case, same), before)
    assert (done.changes, done.left, done.revision) == ((), (), None)
    assert case.path.read_bytes() == before


def test_the_revision_is_raised_in_its_place_or_gets_a_line(tmp_path):
    change = bound("loss_drop.at_least", ("3%", "4%"))
    case = case_of(tmp_path)
    assert write_bounds(calibration(case, change), case.path.read_bytes()).revision == (1, 2)
    assert case.path.read_text().startswith("schema: 1\nrevision: 2\nabout: A tiny decoder.\n")
    case = load_cases([case.path]).cases[0]
    back = bound("loss_drop.at_least", ("4%", "5%"), (0.04, 0.05))
    assert write_bounds(calibration(case, back), case.path.read_bytes()).revision == (2, 3)
    assert case.path.read_text() == TINY.replace("schema: 1\n", "schema: 1\nrevision: 3\n").replace(
        "expect:\n  parameters: 920\n", EXPECT
    ).replace("3%", "5%")


def test_what_stands_elsewhere_is_reported_and_not_written(tmp_path):
    parent = case_of(tmp_path).path
    child = tmp_path / "child.yaml"
    child.write_text("extends: tiny.yaml\nexpect:\n  loss_drop: {at_least: 2%}\n")
    case = load_cases([child]).cases[0]
    before = parent.read_bytes()
    own = bound("loss_drop.at_least", ("2%", "4%"), (0.02, 0.04))
    theirs = bound("initial_loss.uniform", ("5%", "6%"), (0.05, 0.06))
    done = write_bounds(calibration(case, own, theirs), child.read_bytes())
    assert done.changes == (own,)
    [(left, why)] = done.left
    assert left == theirs
    assert why == f"inherited from {parent}; give it in this file to hold it to that here"
    assert parent.read_bytes() == before
    assert child.read_text() == "extends: tiny.yaml\nrevision: 2\nexpect:\n  loss_drop: {at_least: 4%}\n"


def test_those_who_inherit_a_change_are_named(tmp_path):
    case = case_of(tmp_path)
    (tmp_path / "child.yaml").write_text("extends: tiny.yaml\n")
    (tmp_path / "other.yaml").write_text("extends: nothing.yaml\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    change = bound("loss_drop.at_least", ("3%", "4%"))
    done = write_bounds(calibration(case, change), case.path.read_bytes())
    assert done.heirs == (tmp_path / "child.yaml",)


def test_a_cost_that_holds_where_nothing_ran_is_not_written(tmp_path):
    case = case_of(tmp_path, ("[numpy_float64]", "[numpy_float64, torch_eager]"))
    memory = bound("peak_memory.at_most", ("64 MiB", "8 MiB"), (64 * MIB, 8 * MIB), kind="memory")
    drop = bound("loss_drop.at_least", ("3%", "4%"))
    absent = {"torch_eager": "not asked for"}
    done = write_bounds(calibration(case, memory, drop, absent=absent), case.path.read_bytes())
    assert done.changes == (drop,)
    [(_, why)] = done.left
    assert why == (
        "it also holds on torch_eager, which did not run (not asked for); run there, or give each backend its"
        " own under expect_on"
    )


def test_a_variant_is_refused(tmp_path):
    path = write("tiny", ("expect:", "matrix: {config.batch: [2, 4]}\nexpect:"), folder=tmp_path)
    before = path.read_bytes()
    with pytest.raises(HarnessError, match=r"'tiny\[batch=2\]' is one of the variants of a matrix"):
        write_bounds(calibration(load_cases([path]).cases[0]), before)
    assert path.read_bytes() == before


def test_an_alias_is_left_alone(tmp_path):
    case = case_of(tmp_path, ("loss_drop: {at_least: 3%}", "loss_drop: {at_least: &few 3%, at_most: 90%}"))
    change = bound("loss_drop.at_least", ("3%", "4%"))
    before = case.path.read_bytes()
    done = write_bounds(calibration(case, change), before)
    assert [why for _, why in done.left] == [
        "an anchor, an alias or its spelling keeps it from being replaced; write it as a plain value"
    ]
    assert case.path.read_bytes() == before


def test_a_result_with_mistakes_replaces_nothing(tmp_path):
    case = case_of(tmp_path)
    before = case.path.read_bytes()
    other = bound("loss_drop.at_least", ("3%", "4%"), (0.03, 0.05))
    with pytest.raises(HarnessError, match="would not say what was proposed; it is as it was"):
        write_bounds(calibration(case, other), before)
    with pytest.raises(
        HarnessError, match=r"tiny\.yaml:15:15: expect\.loss_drop: unknown|expect\.los_drop: unknown key"
    ):
        read_text(case.path, before.decode().replace("loss_drop", "los_drop"))
    assert case.path.read_bytes() == before
