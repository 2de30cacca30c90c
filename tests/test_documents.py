"""YAML with positions: values by YAML 1.2, every mistake in one line with its place, no crash."""

import math
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from harness import documents
from harness.documents import DocumentError, parse, plain, read
from harness.model import HarnessError

HERE = Path("x.yaml")


def said(text):
    with pytest.raises(DocumentError) as caught:
        parse(text, HERE)
    assert str(caught.value) == str(caught.value.mistake)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001), ("1E3", 1000.0), ("5.", 5.0), (".5", 0.5), ("-1.5e+2", -150.0), ("12", 12),
        ("-7", -7), ("+3", 3), ("0x1F", 31), ("0o17", 15), ("012", 12), (".inf", math.inf),
        ("-.INF", -math.inf), ("true", True), ("false", False), ("True", True), ("null", None),
        ("~", None), ("", None), ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("2024-01-01", "2024-01-01"), ("12:30", "12:30"), ("1:2", "1:2"), ("1_000", "1_000"),
        ("0b1", "0b1"), ("3%", "3%"), ("36 ms", "36 ms"), ("=", "="), ("e3", "e3"), (".", "."),
        ("'3'", "3"), ('"true"', "true"), ("! 3", "3"), ("!!str 3", "3"), ("inf", "inf"), ("nan", "nan"),
        ("[1, a]", [1, "a"]), ("{b: {c: 1}}", {"b": {"c": 1}}),
    ],
)  # fmt: skip
def test_values(written, value):
    found = plain(parse(f"a: {written}", HERE))["a"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number():
    assert math.isnan(plain(parse("a: .nan", HERE))["a"])


def test_a_whole_number_as_a_key_is_its_digits():
    assert plain(parse("{0: a, '1': b, 0x10: c}", HERE)) == {"0": "a", "1": "b", "16": "c"}


def test_a_number_of_absurd_length_stays_a_text():
    assert plain(parse(f"a: {'9' * 5000}", HERE))["a"] == "9" * 5000


def test_aliases_are_values():
    root = parse("a: &x [1, 2]\nb: *x\nc: {d: *x}", HERE)
    assert plain(root) == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}
    assert str(root.mapping["b"].start) == "x.yaml:2:1"


def test_places():
    root = parse("model:\n  decoder: {vocab: 27,\n    width: 32}\nlist:\n  - 1\n  - [a, b]\n", HERE)
    decoder = root.mapping["model"].mapping["decoder"]
    assert [str(decoder.key), str(decoder.place)] == ["x.yaml:2:3", "x.yaml:2:12"]
    assert str(decoder.mapping["width"].start) == "x.yaml:3:5"
    assert [str(item.start) for item in root.mapping["list"].value] == ["x.yaml:5:5", "x.yaml:6:5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml:1:1: the file is empty; expected a mapping"),
        ("# nothing", "x.yaml:1:1: the file is empty; expected a mapping"),
        ("- a", "x.yaml:1:1: expected a mapping at the top of the file"),
        ("just text", "x.yaml:1:1: expected a mapping at the top of the file"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document; a case file holds one"),
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: a: duplicate key; the first is in line 1"),
        ("a: {b: 1, b: 2}", "x.yaml:1:11: b: duplicate key; the first is in line 1"),
        ("{1: a, '1': b}", "x.yaml:1:8: 1: duplicate key; the first is in line 1"),
        ("true: 1", "x.yaml:1:1: a key must be a text; put it in quotes"),
        ("a:\n  1.5: 1", "x.yaml:2:3: a key must be a text; put it in quotes"),
        ("~: 1", "x.yaml:1:1: a key must be a text; put it in quotes"),
        ("? [a]\n: 1", "x.yaml:1:3: a key must be a text"),
        ("a: *b", "x.yaml:1:4: '*b' names no value before it"),
        ("a: &a [*a]", "x.yaml:1:8: '*a' names no value before it"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "x.yaml:3:3: '<<' is not supported; use 'extends'"),
        ("a: !!int '3'", "x.yaml:1:4: tags such as 'tag:yaml.org,2002:int' are not supported"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "x.yaml:1:4: tags such as 'tag:yaml.org,2002:python/object/apply:os.system' are not supported",
        ),
        ('a: "x\\0"', "x.yaml:1:4: a text holds a control character or half of a surrogate pair"),
        ("a: \x07b", "x.yaml:1:4: not YAML: a control character"),
        ("a: " + "[" * 41, "x.yaml:1:43: nested deeper than 40 levels"),
    ],
)
def test_refused(text, message):
    assert said(text) == message


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1", "x.yaml:"), ("a: b: c", "x.yaml:1:5: "), ("a: 'x", "x.yaml:1:"), ("a: 1}", "x.yaml:")],
)
def test_syntax_errors_have_a_place(text, place):
    assert said(text).startswith(place) if "}" not in text else plain(parse(text, HERE)) == {"a": "1}"}


def test_a_tab_is_named():
    assert said("a:\n\tb: 1").endswith("; indent with spaces, not tabs")
    assert said("a:\n\tb: 1").startswith("x.yaml:2:1: not YAML: ")


def test_an_alias_bomb_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert said("\n".join(lines)).endswith("expands to more than 50000 values or 40 levels")


def test_depth_by_aliases_is_refused():
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))]
    assert said("\n".join(lines)).endswith("expands to more than 50000 values or 40 levels")


def test_nesting_far_beyond_the_stack_is_one_error():
    assert "nested deeper than 40 levels" in said("a: " + "[" * 200_000)
    assert "nested deeper than 40 levels" in said("a: " + "{a: " * 100_000)


@pytest.mark.parametrize("loader", ["with the C parser", "without"])
def test_both_parsers_give_the_same(loader, monkeypatch):
    if loader == "without":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    root = parse("a: {b: [1, 'x']}\nc: |\n  d\n", HERE)
    assert plain(root) == {"a": {"b": [1, "x"]}, "c": "d\n"}
    assert str(root.mapping["a"].mapping["b"].start) == "x.yaml:1:5"
    assert said("a: \x07b") == "x.yaml:1:4: not YAML: a control character"
    assert said("a:\n\tb: 1").endswith("; indent with spaces, not tabs")
    assert said("a: 1\n---\n") == "x.yaml:2:1: a second document; a case file holds one"


def refuse(path):
    with pytest.raises(DocumentError) as caught:
        read(path)
    return str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    assert refuse(tmp_path / "no.yaml") == f"{tmp_path}/no.yaml:1:1: no such file"
    assert refuse(tmp_path) == f"{tmp_path}:1:1: expected a regular file"
    assert refuse(tmp_path / ("x" * 300)).endswith(":1:1: cannot be read: File name too long")
    os.mkfifo(tmp_path / "pipe.yaml")
    assert refuse(tmp_path / "pipe.yaml").endswith(":1:1: expected a regular file")


def test_a_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert refuse(path) == f"{path}:2:7: byte 0xe9 is not UTF-8; save the file as UTF-8"
    path.write_bytes("a: é\nb: ".encode() + b"\xff")
    assert refuse(path) == f"{path}:2:4: byte 0xff is not UTF-8; save the file as UTF-8"


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert plain(read(path)) == {"a": 1}


def test_size_limit(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * (documents.LARGEST_FILE - 5))
    assert plain(read(path)) == {"a": 1}
    path.write_bytes(b"a: 1\n" + b"#" * (documents.LARGEST_FILE - 4))
    assert refuse(path) == f"{path}:1:1: the file is larger than 1 MiB; expected a case file"


YAMLISH = st.text(alphabet="ab1:- \n\t[]{},#&*!|>'\"%@`?~<\\x0", max_size=60)


@given(YAMLISH | st.text(max_size=60))
@example("%YAML 9.9\n---\na: 1")
@example("\ud800: 1")
@example("a: \x85b")
@example("? ? ? a")
def test_any_text_is_a_mapping_or_one_line(text):
    try:
        assert isinstance(plain(parse(text, HERE)), dict)
    except HarnessError as error:
        problem = str(error)
    else:
        problem = "x.yaml: none"
    assert problem.startswith("x.yaml:")
    assert len(problem.splitlines()) == 1


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
)
KEYS = st.text(alphabet="abcdef_", min_size=1, max_size=6)


@given(
    st.dictionaries(
        KEYS,
        st.recursive(
            SCALARS,
            lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_what_json_writes_reads_back(value):
    import json

    found = plain(parse(json.dumps(value, ensure_ascii=False), HERE))
    assert found == value
    assert json.dumps(found) == json.dumps(value)
