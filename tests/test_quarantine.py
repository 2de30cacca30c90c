"""Quarantine: with an issue and a date only, for so long, and visible everywhere."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import jsonschema
import nights
import pytest
import tiny
import yaml
from pages import parsed

import reports
from harness.cases import CaseErrors, load_cases
from harness.cli import main
from harness.cli.run import lines_of
from harness.model import Status
from harness.pipeline import Night
from harness.quarantine import holds, needless, verdicts_on
from harness.schema import schema
from harness.spec import Quarantine

ISSUE = "https://github.com/x/y/issues/7"
LAST_DAY = date(2026, 12, 31)
HELD = Quarantine(issue=ISSUE, until=LAST_DAY)
SICK = ("parameters: 920", "parameters: 921")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def seconds(*moment):
    return datetime(*moment, tzinfo=UTC).timestamp()


def quarantined(run, quarantine=HELD, when=(2026, 12, 1)):
    return replace(
        run, verdicts=(*run.verdicts, *verdicts_on(quarantine, run.backend, run.status, seconds(*when)))
    )


def with_key(text):
    return tiny.write("tiny", ("tags: [small]", f"quarantine: {text}"), SICK)


class TestCaseFile:
    def test_is_read(self):
        with_key(f"{{issue: {ISSUE}, until: 2026-12-31, backends: [numpy_float64]}}")
        [case] = load_cases([Path("cases")]).cases
        assert case.quarantine == replace(HELD, backends=("numpy_float64",))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (f"{{issue: {ISSUE}}}", "quarantine.until: missing"),
            ("{until: 2026-12-31}", "quarantine.issue: missing"),
            ("{issue: soon, until: 2026-12-31}",
             "quarantine: issue: expected a link, http or https, got 'soon'"),
            (f"{{issue: {ISSUE}, until: tomorrow}}",
             "quarantine.until: expected a date such as 2026-12-31, got 'tomorrow'"),
            (f"{{issue: {ISSUE}, until: 2026-02-30}}",
             "quarantine.until: expected a date such as 2026-12-31, got '2026-02-30'"),
            (f"{{issue: {ISSUE}, until: 20261231}}",
             "quarantine.until: expected a date such as 2026-12-31, got 20261231"),
            (f"{{issue: {ISSUE}, until: 2026-12-31, backend: [x]}}",
             "quarantine.backend: unknown key; did you mean 'backends'?"),
            (f"{{issue: {ISSUE}, until: 2026-12-31, backends: [jax]}}",
             "quarantine.backends: 'jax' is not one of this case's backends; known: numpy_float64"),
            ("true", "quarantine: expected a mapping, got true"),
        ],
    )  # fmt: skip
    def test_without_link_or_date_is_a_mistake(self, text, said):
        with_key(text)
        with pytest.raises(CaseErrors) as error:
            load_cases([Path("cases")])
        [line] = str(error.value).splitlines()
        assert line.partition(": ")[2] == said

    def test_is_not_part_of_the_digest(self):
        with_key(f"{{issue: {ISSUE}, until: 2026-12-31}}")
        [held] = load_cases([Path("cases")]).cases
        tiny.write("tiny", SICK)
        [free] = load_cases([Path("cases")]).cases
        assert held.digest == free.digest

    def test_is_in_the_schema_for_editors(self):
        checker = jsonschema.Draft202012Validator(schema())
        good = yaml.safe_load(tiny.TINY) | {"quarantine": {"issue": ISSUE, "until": "2026-12-31"}}
        assert checker.is_valid(good)
        assert not checker.is_valid(good | {"quarantine": {"issue": ISSUE}})


class TestVerdict:
    @pytest.mark.parametrize(
        ("when", "reason"),
        [
            ((2026, 1, 1), "quarantined"),
            ((2026, 12, 31, 23, 59, 59), "quarantined"),
            ((2027, 1, 1), "quarantine_ended"),
        ],
    )
    @pytest.mark.parametrize("status", [Status.FAIL, Status.ERROR])
    def test_holds_through_its_last_day(self, when, reason, status):
        [verdict] = verdicts_on(HELD, "x", status, seconds(*when))
        assert (verdict.check, verdict.reason, verdict.observed) == ("quarantine", reason, ISSUE)
        assert verdict.status == (Status.SKIP if reason == "quarantined" else Status.FAIL)
        assert "2026-12-31" in verdict.message
        assert ISSUE in verdict.message

    @pytest.mark.parametrize("when", [(2026, 1, 1), (2027, 1, 1)])
    def test_a_pass_asks_to_take_it_out(self, when):
        [verdict] = verdicts_on(HELD, "x", Status.PASS, seconds(*when))
        assert (verdict.status, verdict.reason) == (Status.PASS, "not_needed")
        assert verdict.message.startswith("passes: take the quarantine out")

    def test_of_other_backends_skipped_runs_and_none(self):
        only = replace(HELD, backends=("x",))
        assert verdicts_on(only, "y", Status.FAIL, 0.0) == ()
        assert len(verdicts_on(only, "x", Status.FAIL, 0.0)) == 1
        assert verdicts_on(HELD, "x", Status.SKIP, 0.0) == ()
        assert verdicts_on(None, "x", Status.FAIL, 0.0) == ()


class TestNight:
    @pytest.mark.parametrize(
        ("run", "code"),
        [
            (quarantined(nights.stuck()), 0),
            (quarantined(nights.timed_out()), 0),
            (quarantined(nights.timed_out(reason="invalid")), 2),
            (quarantined(nights.stuck(), when=(2027, 1, 1)), 1),
            (quarantined(nights.timed_out(), when=(2027, 1, 1)), 3),
            (quarantined(nights.a_run()), 0),
        ],
    )
    def test_exit_codes(self, run, code):
        assert Night(session="s", store="x", runs=(run,)).exit_code == code
        assert Night(session="s", store="x", runs=(run, nights.exploded())).exit_code == 1

    def test_the_status_stays(self):
        run = quarantined(nights.stuck())
        assert (run.status, holds(run), needless(run)) == (Status.FAIL, True, False)
        assert needless(quarantined(nights.a_run()))

    def test_lines(self):
        held, late = quarantined(nights.timed_out()), quarantined(nights.timed_out(), when=(2027, 1, 1))
        assert lines_of(held) == [
            "error  mlp-classifier [torch_eager] timeout: stopped after 60 s in phase train",
            f"       quarantine: in quarantine until 2026-12-31: {ISSUE}",
        ]
        assert lines_of(late)[-1] == (
            "       quarantine: ended with 2026-12-31: mend the case or give the quarantine a later date "
            f"({ISSUE})"
        )

    def test_a_whole_night(self, capsys):
        with_key(f"{{issue: {ISSUE}, until: 9999-12-31}}")
        assert main(["run", "--report"]) == 0
        said = capsys.readouterr().out
        assert "fail   tiny [numpy_float64] parameters: 920 parameters, expected 921" in said
        assert f"       quarantine: in quarantine until 9999-12-31: {ISSUE}" in said
        assert "\n0 passed, 1 failed, 1 in quarantine in " in said
        page = parsed(Path("out/site/index.html"))
        assert f"in quarantine until 9999-12-31: {ISSUE}" in page.text
        assert ISSUE in [link.get("href") for link in page.all("a")]

    def test_a_night_after_its_end(self, capsys):
        with_key(f"{{issue: {ISSUE}, until: 2020-01-01}}")
        assert main(["run"]) == 1
        assert "       quarantine: ended with 2020-01-01: mend the case" in capsys.readouterr().out


class TestReport:
    def page(self, tmp_path, *runs):
        reports.render(nights.History(runs), tmp_path / "site")
        return parsed(tmp_path / "site" / "index.html")

    def test_shows_what_is_held_back(self, tmp_path):
        page = self.page(tmp_path, quarantined(nights.stuck()), nights.a_run(1))
        assert "1 of 2 healthy; 1 fails; 1 in quarantine" in page.text
        assert "quarantined" in page.text

    def test_shows_what_passes(self, tmp_path):
        page = self.page(tmp_path, quarantined(nights.a_run()))
        assert "passes: take the quarantine out" in page.text
        assert "in quarantine" not in page.text

    def test_an_address_of_another_kind_is_no_link(self, tmp_path):
        run = quarantined(nights.stuck())
        bad = replace(run.verdicts[-1], observed="javascript:alert(1)", message="x")
        page = self.page(tmp_path, replace(run, verdicts=(*run.verdicts[:-1], bad)))
        assert not [link for link in page.all("a") if link.get("href", "").startswith("javascript")]
