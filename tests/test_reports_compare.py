"""Two commits side by side: the page of the report, and the one that the command writes."""

import nights
import numpy as np
import pytest
from pages import parsed

import reports
from harness.decide import Comparison, Finding, Kind
from harness.model import Answer, BrokenError, Status
from reports._comparison import content, write_comparison

OLD, NEW = {**nights.ENVIRONMENT, "commit": "a" * 40}, {**nights.ENVIRONMENT, "commit": "b" * 40}
NOISE = (1.0, 1.01, 0.99, 1.005, 0.995)
REPEATED = {"repeat": Answer(facts={"weights_equal": True})}


def history(factor=1.5, loss=2.5):
    """Five nights of either commit: a step takes longer by a factor, and the loss ends elsewhere."""
    runs = []
    for night, noise in enumerate(NOISE * 2):
        later = night >= len(NOISE)
        made = nights.trace(loss=np.linspace(3.3, loss if later else 2.5, 12))
        measured = nights.measurements(0.0012 * noise * (factor if later else 1.0))
        facts = nights.completed(made, measurements=measured, answers=REPEATED)
        runs.append(nights.a_run(night=night, facts=facts, environment=NEW if later else OLD))
    return nights.History(runs)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    made = history()
    made.whole += [nights.a_run(1, case="gpt-copy", night=1, environment=OLD)]
    reports.render(made, folder)
    return parsed(folder / "compare.html")


def test_what_became_worse_comes_first_with_its_interval(page):
    text = page.text.split("What differs")[1]
    assert "1 worse" in page.text
    assert "regression cllm-minimal on torch_eager" in text
    assert "step time regression 1.2 ms 1.8 ms +50 %" in text
    assert "final loss same 2.5 2.5 0 %, exactly" in text


def test_a_case_that_one_commit_lacks_is_told(page):
    assert "gpt-copy on torch_eager: no run of bbbbbbbbbb" in page.text.split("Not compared")[1]


def test_the_index_leads_to_it(tmp_path):
    reports.render(history(), tmp_path)
    assert 'href="compare.html"' in (tmp_path / "index.html").read_text()


def test_one_commit_or_changes_that_are_not_committed_are_no_two_commits(tmp_path):
    dirty = {**NEW, "dirty": True}
    runs = [nights.a_run(environment=OLD), nights.a_run(night=1, environment=dirty)]
    reports.render(nights.History(runs), tmp_path)
    assert not (tmp_path / "compare.html").exists()
    assert 'href="compare.html"' not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("kinds", "headline", "status"),
    [
        ([], "Nothing to compare", Status.SKIP),
        (["same", "same"], "All 2 the same", Status.PASS),
        (["regression", "same"], "1 worse, 1 the same", Status.FAIL),
        (["improvement"], "1 better", Status.PASS),
        (["inconclusive", "improvement"], "1 better, 1 not clear", Status.ERROR),
    ],
)
def test_the_first_line(kinds, headline, status):
    made = content(["a", "b"], [compared(Kind(kind)) for kind in kinds], [])
    assert (made["headline"], made["status"]) == (headline, status)


def compared(kind, **changes):
    finding = Finding(metric="step_time", unit="s", kind=kind, before=1.0, after=2.0, share=1.0, **changes)
    return Comparison(
        case="<b>", backend="x", rounds=5, runs=(5, 5), status=(Status.PASS, Status.FAIL), failed=(0, 3),
        outcome=Kind.SAME, worst=nights.a_run(), findings=(finding,),
    )  # fmt: skip


def test_the_command_s_page_stands_by_itself(tmp_path):
    path = tmp_path / "deep" / "compare.html"
    write_comparison(["aaa", "bbb"], [compared(Kind.REGRESSION, low=0.5, high=9.0)], ["c: gone"], path)
    page = parsed(path)
    assert page.faults == []
    assert "pass -> fail, 3 of 5 not healthy" in page.text
    assert "<b> on x" in page.text
    assert "+100 %, +50 % to +900 %" in page.text
    assert "c: gone" in page.text
    assert [link["href"] for link in page.all("a")] == ["#main"]


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokenError, match=r"--html .*: cannot be written: .*; name another file"):
        write_comparison(["a", "b"], [], [], tmp_path / "file" / "page.html")
