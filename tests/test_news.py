"""What is new since the last night, as a table in Markdown and as JUnit XML."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import nights
import pytest
import tiny
from markdown_it import MarkdownIt
from pages import Parsed

from harness.cli import main
from harness.junit import junit
from harness.markdown import LONGEST, MOST, escaped, markdown, sentence
from harness.model import Status, Verdict
from harness.news import News, counts, last_night, news
from harness.quarantine import verdicts_on
from harness.sessions import Session
from harness.spec import Quarantine

ISSUE = "https://github.com/x/y/issues/7"
NASTY = "a|b `c` *d* <script>e</script> [f](http://g) @h #12 &lt; \\| \\ ~x~ _y_ $z$ | --- |"
CONTROL = "bell\x07 escape\x1b[31m null\0 half\ud800 return\rend \ufffe"


def held(run, until="9999-12-31"):
    quarantine = Quarantine(issue=ISSUE, until=date.fromisoformat(until))
    return replace(
        run, verdicts=(*run.verdicts, *verdicts_on(quarantine, run.backend, run.status, run.started))
    )


def healthy(run):
    return replace(run, status=Status.PASS, reason="", message="", verdicts=nights.PASSED, diagnoses=())


def session(name, started, cells, *, finished=True):
    plan = [[*cell, "digest"] for cell in cells]
    return Session(id=name, started=started, finished=started + 1 if finished else None, plan=plan)


class TestLastNight:
    A, B, C = ("a", "x"), ("b", "x"), ("c", "x")

    def of(self, *sessions):
        found = last_night(sessions, "now")
        return found and found.id

    def test_is_the_newest_with_the_same_or_a_larger_plan(self):
        now = session("now", 9, [self.A, self.B])
        same, larger = session("same", 1, [self.A, self.B]), session("larger", 2, [self.A, self.B, self.C])
        smaller = session("smaller", 3, [self.A])
        assert self.of(now, same) == "same"
        assert self.of(now, larger, same) == "larger"
        assert self.of(now, smaller, larger, same) == "larger"

    def test_is_finished_and_earlier(self):
        now = session("now", 9, [self.A])
        assert (
            self.of(now, session("cut", 8, [self.A], finished=False), session("later", 10, [self.A])) is None
        )

    def test_a_case_that_is_new_tonight_does_not_hide_it(self):
        now = session("now", 9, [self.A, self.B, self.C])
        assert self.of(now, session("by hand", 3, [self.A]), session("night", 2, [self.A, self.B])) == "night"

    def test_of_another_plan_or_none_there_is_none(self):
        now = session("now", 9, [self.A])
        assert self.of(now, session("other", 1, [self.B])) is None
        assert self.of(now, replace(now, id="odd", started=1, plan={"what": 1})) is None
        assert self.of(now) is None
        assert last_night([], "now") is None


class TestNews:
    def groups(self, tonight, *before):
        found = news([tonight], before)
        return [name for name in News.__dataclass_fields__ if getattr(found, name)]

    @pytest.mark.parametrize(
        ("tonight", "before", "group"),
        [
            (nights.stuck(), None, ["new"]),
            (nights.stuck(), healthy(nights.stuck()), ["new"]),
            (nights.stuck(), nights.stuck(), ["known"]),
            (nights.stuck(), nights.stuck(backend="other"), ["new"]),
            (nights.timed_out(), nights.timed_out(), ["known"]),
            (nights.timed_out(), nights.timed_out(reason="crashed"), ["new"]),
            (nights.timed_out(), nights.timed_out(status=Status.FAIL), ["new"]),
            (healthy(nights.stuck()), nights.stuck(), ["healed"]),
            (nights.a_run(), nights.a_run(), []),
            (nights.unavailable(), nights.a_run(backend="native_c"), ["lost"]),
            (nights.unavailable(), nights.unavailable(), []),
            (nights.unavailable(), None, []),
            (held(nights.stuck()), healthy(nights.stuck()), ["quarantined"]),
            (held(nights.stuck(), "2020-01-01"), held(nights.stuck()), ["new"]),
            (held(nights.a_run()), nights.a_run(), ["needless"]),
        ],
    )
    def test_groups(self, tonight, before, group):
        assert self.groups(tonight, *filter(None, [before])) == group

    def test_another_check_that_fails_is_new_and_fewer_are_not(self):
        one = nights.stuck()
        fewer = replace(one, verdicts=one.verdicts[:2])
        assert self.groups(one, fewer) == ["new"]
        assert self.groups(fewer, one) == ["known"]

    def test_counts(self):
        assert counts([]) == "0 passed"
        runs = [*nights.a_night(), held(nights.stuck(20))]
        assert counts(runs) == "5 passed, 3 failed, 1 error, 1 skipped, 1 in quarantine"


def rendered(text):
    """The table as a browser would show it: rows of cells, and what elements there are."""
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in rows[1:]], Parsed(page)


class TestMarkdown:
    def night(self):
        before = [nights.stuck(), healthy(nights.exploded(1)), nights.timed_out(2), nights.a_run(3)]
        tonight = [nights.stuck(night=1), nights.exploded(1, night=1), healthy(nights.timed_out(2, night=1))]
        return [*tonight, nights.a_run(3, night=1)], before

    def test_what_is_new_comes_first_then_known_then_healed(self):
        tonight, before = self.night()
        text = markdown(tonight, before, session("n", nights.START, []))
        rows, _ = rendered(text)
        assert [(row[0], row[1]) for row in rows] == [
            ("<strong>new</strong>", "mlp-regressor"),
            ("known", "gpt-copy"),
            ("healed", "mlp-classifier"),
        ]
        assert rows[0][3] == "finite: loss is nan at step 3, expected finite numbers"
        assert f"loss_drop: {nights.STUCK} (and 1 more) {nights.CAUSE}" in Parsed(rows[1][3]).text
        assert text.splitlines()[0] == "### Training health: 1 new, 1 known, 1 healed"
        assert text.splitlines()[-1] == (
            "2 passed, 2 failed. Commit 3fbd4bf0c1, compared with the night of 2025-06-03 00:00 UTC."
        )

    def test_a_healthy_night_has_no_table(self):
        text = markdown([nights.a_run()])
        assert text == (
            "### Training health: all healthy\n\n"
            "1 passed. Commit 3fbd4bf0c1; no earlier night to compare with.\n"
        )
        assert "nothing was judged" in markdown([nights.unavailable()])

    def test_quarantine_is_shown_with_its_issue(self):
        [[word, *_, what]], _ = rendered(markdown([held(nights.stuck())]))
        assert word == "quarantined"
        assert what.endswith(f'in quarantine until 9999-12-31: <a href="{ISSUE}">issue</a>')
        [[word, *_, what]], _ = rendered(markdown([held(nights.a_run())]))
        assert word == "healed"
        assert "passes: take the quarantine out" in Parsed(what).text

    @pytest.mark.parametrize("where", ["message", "cause", "case", "backend"])
    def test_any_text_stays_in_its_cell_and_is_shown_as_it_is(self, where):
        run = nights.stuck()
        made = {
            "message": lambda: replace(run, verdicts=(replace(run.verdicts[1], message=NASTY),)),
            "cause": lambda: replace(run, diagnoses=(replace(run.diagnoses[0], cause=NASTY),)),
            "case": lambda: replace(run, case=NASTY),
            "backend": lambda: replace(run, backend=NASTY),
        }[where]()
        rows, page = rendered(markdown([made]))
        assert [len(row) for row in rows] == [4]
        assert NASTY in page.text
        assert {tag for tag, _ in page.elements} <= {
            "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "em",
        }  # fmt: skip

    def test_nobody_is_mentioned_and_nothing_is_linked(self):
        found = escaped("ask @somebody about #12 in https://x.example or www.x.example")
        assert not re.search(r"@\w|#\d|://|www\.", found)

    def test_control_characters_are_shown(self):
        assert escaped("a\x1b[31mb\0c\ud800d\n\te") == ("a&bsol;u001b\\[31mb&bsol;u0000c&bsol;ud800d e")

    def test_long_texts_and_long_tables_are_cut(self):
        run = nights.stuck()
        long = replace(run, verdicts=(replace(run.verdicts[1], message="word " * 1000),), diagnoses=())
        [[*_, what]], _ = rendered(markdown([long]))
        assert len(what) <= LONGEST
        many = [replace(run, case=f"case-{number:03}") for number in range(MOST + 7)]
        rows, page = rendered(markdown(many))
        assert len(rows) == MOST
        assert "... and 7 more rows." in page.text

    def test_the_sentence_of_a_run_without_verdicts(self):
        assert sentence(nights.timed_out()) == "timeout: stopped after 60 s in phase train"


def tree(*runs):
    return ET.fromstring(junit(runs).encode("utf-8"))


class TestJUnit:
    """Element for element what the schema of Jenkins (junit-10.xsd) allows."""

    SUITES = ("name", "time", "tests", "failures", "errors")
    SUITE = (*SUITES, "skipped", "timestamp")

    def test_the_shape(self):
        root = tree(*nights.a_night(), held(nights.stuck(30, backend="jax")), held(nights.a_run(31)))
        assert root.tag == "testsuites"
        assert set(root.attrib) == set(self.SUITES)
        for suite in root:
            assert (suite.tag, set(suite.attrib)) == ("testsuite", set(self.SUITE))
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
            for case in suite:
                assert (case.tag, set(case.attrib)) == ("testcase", {"name", "classname", "time"})
                tags = [child.tag for child in case]
                assert len(tags) == len(set(tags))
                assert set(tags) <= {"skipped", "failure", "error", "system-out"}
                for child in case:
                    assert set(child.attrib) <= {"message", "type"}

    def test_the_counts_are_those_of_the_elements(self):
        root = tree(*nights.a_night(), held(nights.stuck(30)))
        for place in [root, *root]:
            assert int(place.get("tests")) == len(place.findall(".//testcase"))
            assert int(place.get("failures")) == len(place.findall(".//failure"))
            assert int(place.get("errors")) == len(place.findall(".//error"))
        assert sum(int(suite.get("skipped")) for suite in root) == len(root.findall(".//skipped")) == 2
        assert [suite.get("name") for suite in root] == ["torch_eager", "native_c", "numpy_float64"]

    @pytest.mark.parametrize(
        ("run", "tag", "message"),
        [
            (nights.stuck(), "failure", f"loss_drop: {nights.STUCK} (and 1 more)"),
            (nights.timed_out(), "error", "timeout: stopped after 60 s in phase train"),
            (nights.unavailable(), "skipped", "unavailable: no C compiler: install gcc"),
            (held(nights.stuck()), "skipped", f"in quarantine until 9999-12-31: {ISSUE}; fail: loss_drop"),
            (held(nights.stuck(), "2020-01-01"), "failure", "loss_drop: "),
        ],
    )
    def test_what_came_of_a_run(self, run, tag, message):
        [case] = tree(run).iter("testcase")
        assert case[0].tag == tag
        assert case[0].get("message").startswith(message)
        assert (case.get("name"), case.get("classname"), case.get("time")) == (run.case, run.backend, "1.500")

    def test_a_healthy_run_says_nothing(self):
        [case] = tree(nights.a_run()).iter("testcase")
        assert list(case) == []

    def test_a_failure_has_its_causes_and_its_log(self):
        [failure] = tree(nights.stuck()).iter("failure")
        assert (failure.get("type"), nights.CAUSE in failure.text) == ("out_of_bounds", True)
        [error] = tree(nights.timed_out()).iter("error")
        assert "Traceback <b>here</b>" in error.text

    @pytest.mark.parametrize("text", [NASTY, CONTROL, "]]>", "é 日本 \U0001f600", "a\n\tb"])
    def test_any_text_survives(self, text):
        verdict = Verdict(check="finite", status=Status.FAIL, message=text)
        [failure] = tree(nights.stuck(verdicts=(verdict,), case=text, backend=text)).iter("failure")
        shown = re.sub(r"[\x00-\x08\x0b-\x1f\ud800\ufffe]", lambda found: _escape(found[0]), text)
        assert failure.get("message") == f"finite: {shown}"
        assert failure.text.startswith(f"finite: {shown}\n")

    def test_a_night_of_nothing(self):
        assert (tree().get("tests"), list(tree())) == ("0", [])


def _escape(character):
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


class TestCommand:
    @pytest.fixture(autouse=True)
    def workplace(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_the_second_night_knows_the_first(self, capsys):
        tiny.write("good")
        tiny.write("bad", ("parameters: 920", "parameters: 921"))
        assert main(["run", "--markdown", "one.md", "--junit", "deep/one.xml"]) == 1
        assert "| **new** | bad |" in Path("one.md").read_text()
        assert "no earlier night" in Path("one.md").read_text()
        assert ET.parse("deep/one.xml").getroot().get("failures") == "1"
        tiny.write("good", ("parameters: 920", "parameters: 922"))
        capsys.readouterr()
        assert main(["run", "--markdown", "-"]) == 1
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert lines[0] == "### Training health: 1 new, 1 known"
        assert [line.split("|")[1:3] for line in lines[4:6]] == [
            [" **new** ", " good "],
            [" known ", " bad "],
        ]
        assert "recorded in" in err

    def test_a_night_that_cannot_begin_leaves_no_word_of_the_last_one(self):
        tiny.write()
        assert main(["run", "--markdown", "one.md", "--junit", "one.xml"]) == 0
        assert main(["run", "--dry-run", "--markdown", "one.md"]) == 0
        assert Path("one.md").exists()
        assert main(["run", "absent", "--markdown", "one.md", "--junit", "one.xml"]) == 2
        assert not Path("one.md").exists()
        assert not Path("one.xml").exists()

    def test_only_one_form_goes_to_standard_output(self, capsys):
        tiny.write()
        assert main(["run", "--markdown", "-", "--junit", "-"]) == 2
        assert capsys.readouterr().err == (
            "--json, --markdown, --junit: only one can be -; give the others a file\n"
        )

    def test_a_file_that_cannot_be_written(self, capsys):
        tiny.write()
        assert main(["run", "--junit", "cases"]) == 3
        assert capsys.readouterr().err == (
            "--junit cases: cannot be written: Is a directory; name another file\n"
        )
