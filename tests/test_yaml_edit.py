"""Splices in a file: every other byte stays."""

from pathlib import Path

import pytest

from harness.documents import parse
from harness.model import BrokenError, HarnessError
from harness.yaml_edit import at, line_after, replace_file, span, spliced

ROOT = Path(__file__).parents[1]
HERE = Path("case.yaml")
EPS = 2.0**-23
KIB, MIB = 2**10, 2**20


def edited(text, **numbers):
    """The text with the values of some top-level keys replaced."""
    root = parse(text, HERE)
    return spliced(text, [(*span(text, root, root.mapping[key]), new) for key, new in numbers.items()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 3%   # why\nb: 2\n", "a: 12%   # why\nb: 2\n"),
        ("a: '3%'\n", "a: '12%'\n"),
        ('{"b": "ä → 😀", a: "3 %"}', '{"b": "ä → 😀", a: "12%"}'),
        ("b: 1\r\n\r\na:   3%\r\n", "b: 1\r\n\r\na:   12%\r\n"),
        ("b: 1\ra: 3%\r", "b: 1\ra: 12%\r"),
        ("# first\n\n---\na:\n  3%\n...\n", "# first\n\n---\na:\n  12%\n...\n"),
        ("a: 3%", "a: 12%"),
    ],
)
def test_a_splice_keeps_every_other_character(text, expected):
    assert edited(text, a="12%") == expected


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 3%\n",  # an anchor
        "b: &x 3%\na: *x\n",  # an alias
        "a: !!str 3%\n",
        'a: "\\x33%"\n',  # an escape
        "a: >-\n  3%\n",
        "a: {b: 3%}\n",
        "a:\n",
    ],
)
def test_what_cannot_be_replaced_safely_is_left(text):
    root = parse(text, HERE)
    assert span(text, root, root.mapping["a"]) is None


def test_what_an_alias_repeats_is_left_wherever_it_stands():
    text = "b: &both {c: 3%}\na: *both\nd: {c: 3%}\n"
    root = parse(text, HERE)
    spans = {key: span(text, root, at(root, (key, "c"))) for key in "abd"}
    assert spans == {"a": None, "b": None, "d": (text.rindex("3%"), text.rindex("3%") + 2)}


def test_a_value_is_found_by_its_keys():
    root = parse('a: {"*.weight": {norm: [1, 2]}, 27: 3}\n', HERE)
    assert at(root, ("a", "*.weight", "norm", 1)).text == "2"
    assert at(root, ("a", 27)).text == "3"
    assert at(root, ("a", "*.weight", "norm", 2)) is None
    assert at(root, ("a", "*.weight", "norm", "x")) is None
    assert at(root, ("a", "b", "c")) is None
    assert at(None, ("a",)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1 # x\nb: 2\n", "a: 1 # x\nnew: 1\nb: 2\n"),
        ("a: 1\r\nb: 2", "a: 1\r\nnew: 1\r\nb: 2"),
        ("a: 1", "a: 1\nnew: 1"),
        ("{a: 1}", None),
        ("a: {b: 1}\n", None),
    ],
)
def test_a_line_is_added_below_a_value(text, expected):
    edit = line_after(text, parse(text, HERE).mapping["a"], "new: 1")
    assert (edit and spliced(text, [edit])) == expected


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path, link = tmp_path / "a.yaml", tmp_path / "link.yaml"
    path.write_bytes(b"\xef\xbb\xbfold\r\n")
    path.chmod(0o640)
    link.symlink_to("a.yaml")
    replace_file(link, path.read_bytes(), "new ä\r\n")
    assert path.read_bytes() == b"\xef\xbb\xbfnew \xc3\xa4\r\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [path, link]


def test_a_file_that_was_changed_meanwhile_is_left(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("theirs")
    with pytest.raises(HarnessError, match="was changed meanwhile and is left as it is; calibrate again"):
        replace_file(path, b"before", "ours")
    assert path.read_text() == "theirs"


def test_a_file_that_cannot_be_replaced_is_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.yaml"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        BrokenError, match=r"a\.yaml: cannot be written: No space left on device; it is as it was"
    ):
        replace_file(path, b"old", "new")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
