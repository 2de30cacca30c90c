"""The ledger of the baselines: written a line at a time, read by the report."""

import json
from dataclasses import asdict

import nights
import pytest
from pages import parsed

from harness.case_files import CaseFile
from harness.cli import main
from harness.ledger import LEDGER, Entry, enter, entries
from harness.model import BrokenError
from harness.sessions import Session
from harness.store import open_store

ENTRY = Entry(
    when="2025-06-03T12:00:00+00:00", commit="3fbd4bf0c1", case="cllm-minimal", backend="torch_eager",
    revision=2, largest_change=0.25, because="The schedule is the paper's now.",
)  # fmt: skip


def test_lines_come_back_by_time(tmp_path):
    later = Entry(**{**asdict(ENTRY), "when": "2025-07-01T00:00:00+00:00", "largest_change": None})
    for entry in (later, ENTRY):
        enter(tmp_path / LEDGER, entry)
    assert entries([tmp_path / LEDGER]) == (ENTRY, later)


def test_an_infinite_change_is_read_as_one(tmp_path):
    enter(tmp_path / LEDGER, Entry(**{**asdict(ENTRY), "largest_change": float("inf")}))
    assert json.loads((tmp_path / LEDGER).read_text())["largest_change"] == "inf"
    assert entries([tmp_path / LEDGER])[0].largest_change == float("inf")


def test_what_cannot_be_read_is_told_in_its_place(tmp_path):
    enter(tmp_path / LEDGER, ENTRY)
    with (tmp_path / LEDGER).open("a") as file:
        file.write("<<<<<<< HEAD\n\n[1]\n")
    lost, again, found = entries([tmp_path / LEDGER])
    assert found == ENTRY
    assert {one.because.split(":")[1] for one in (lost, again)} == {"2", "4"}
    assert "not a line of a ledger" in lost.because
    (gone,) = entries([tmp_path / "none"])
    assert gone.because == f"{tmp_path / 'none'}: cannot be read: No such file or directory"


def test_a_ledger_that_cannot_be_written_says_what_to_do(tmp_path):
    with pytest.raises(BrokenError, match=r"cannot be written: .*; note there why, by hand"):
        enter(tmp_path / "none" / LEDGER, ENTRY)


def test_the_report_reads_the_ledgers_beside_the_cases_that_ran(tmp_path, monkeypatch):
    cases = tmp_path / "elsewhere"
    (cases / "baselines").mkdir(parents=True)
    enter(cases / "baselines" / LEDGER, ENTRY)
    with open_store(tmp_path / "history.sqlite") as store:
        store.begin(Session(id="night-0", started=nights.START, finished=1.0))
        store.add(nights.a_run())
        kept = [CaseFile(name="cllm-minimal", digest="d", path=str(cases / "a.yaml"), raw={})]
        store.keep([*kept, CaseFile(name="b", digest="d", path="elsewhere/b.yaml", raw={})])
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--store", "history.sqlite", "--out", "site"]) == 0
    page = parsed(tmp_path / "site" / "rebases.html")
    assert page.text.count("The schedule is the paper's now.") == 1
    assert "2025-06-03 12:00 cllm-minimal torch_eager 3fbd4bf0c1 25 %" in page.text
    assert "Accepted numbers" in parsed(tmp_path / "site" / "cases" / "cllm-minimal.html").text
