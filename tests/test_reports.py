"""What the report's pages say, and what they escape."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nights
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Parsed, page_of, parsed, two_nights

import reports
from harness.model import Status, Verdict
from reports import _words
from reports._files import slug


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    reports.render(nights.History(two_nights()), folder, rebases=nights.REBASES)
    return folder


@pytest.fixture(scope="module")
def index(site):
    return parsed(site / "index.html")


# The night


def test_the_first_line_is_the_verdict_in_one_sentence(index):
    heading = index.text.split("Cases and backends")[0]
    assert "5 of 8 healthy; 2 fail; 1 could not be judged; 1 skipped" in heading
    assert "Wednesday 4 June 2025, 00:00 UTC" in heading
    assert "commit 3fbd4bf0c1" in heading
    assert "EPYC, 2 cores, torch 2.13" in heading
    assert "took 9.5 s" in heading


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ("", "Nothing has run yet"),
        ("p", "1 of 1 healthy"),
        ("ppp", "All 3 healthy"),
        ("ppf", "2 of 3 healthy; 1 fails"),
        ("pffe", "1 of 4 healthy; 2 fail; 1 could not be judged"),
        ("pps", "All 2 healthy; 1 skipped"),
        ("s", "1 skipped"),
        ("e", "0 of 1 healthy; 1 could not be judged"),
    ],
)
def test_headline(states, sentence):
    names = {"p": Status.PASS, "f": Status.FAIL, "e": Status.ERROR, "s": Status.SKIP}
    assert _words.headline([nights.a_run(status=names[state]) for state in states]) == sentence


@pytest.mark.parametrize(
    ("states", "worst"),
    [("ps", Status.PASS), ("s", Status.SKIP), ("", Status.SKIP), ("pe", Status.ERROR), ("ef", Status.FAIL)],
)
def test_the_worst_state_stands_for_all(states, worst):
    names = {"p": Status.PASS, "f": Status.FAIL, "e": Status.ERROR, "s": Status.SKIP}
    assert _words.overall([nights.a_run(status=names[state]) for state in states]) is worst


def test_texts_are_cut_at_words_and_names_in_the_middle():
    assert _words.shorten("one two three", 20) == "one two three"
    assert _words.shorten("one two, three four", 13) == "one two…"
    assert _words.shorten("x" * 30, 10) == "x" * 9 + "…"
    assert _words.shorten_middle("layers.0.attention.query", 11) == "layer…query"
    assert _words.first_sentence("Loss is 3.2 nats. Next.") == "Loss is 3.2 nats."
    assert _words.first_sentence("no end\nsecond line") == "no end"


def test_a_verdict_without_a_sentence_is_put_together_from_its_parts():
    verdict = Verdict(check="step_time", status=Status.FAIL, observed=0.05, expected="<= 36 ms", unit="s")
    assert _words.verdict_text(verdict) == "50 ms, expected <= 36 ms"
    assert _words.verdict_text(replace(verdict, observed="slow", expected="")) == "slow"
    assert _words.verdict_text(replace(verdict, observed=None)) == "expected <= 36 ms"


def test_commit_and_machine_in_a_few_words():
    changed = nights.a_run(environment={"commit": "c0ffee" * 6, "dirty": True, "architecture": "x86_64"})
    assert (_words.commit_of(changed), _words.machine_of(changed)) == ("c0ffeec0ff+", "x86_64")
    bare = nights.a_run(environment={})
    assert (_words.commit_of(bare), _words.machine_of(bare)) == ("no commit", "unknown machine")


def test_every_cell_says_its_state_in_a_word_beside_its_symbol(site):
    table = matrix(site)
    assert (
        cell(table, "cllm-minimal", "torch_eager") == "✓ pass: cllm-minimal on torch_eager loss fell 24.24 %"
    )
    skipped = cell(table, "cllm-minimal", "native_c")
    assert skipped[1:].startswith(" skipped: cllm-minimal on native_c no C compiler")
    assert cell(table, "mlp-classifier", "torch_eager").startswith("! error")
    assert cell(table, "gpt-copy", "native_c") == "·not asked"


def test_a_red_cell_gives_the_reason_and_the_first_sentence_of_the_cause(site):
    found = cell(matrix(site), "gpt-copy", "torch_eager")
    assert "✗ fail" in found
    assert "loss_drop: 0 % over 12 steps, expected >= 3 %; loss stands at 3.295837 = ln 27" in found
    assert "0 of 4 tensors changed while gradients flow (norm 0.31)." in found
    assert "optimizer.step()" not in found


def matrix(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    return re.search(r'<table class="matrix">.*?</table>', text, re.DOTALL).group()


def cell(table, case, backend):
    """The text of a cell, found by counting columns."""
    heads = re.findall(r'<th scope="col">([^<]*)</th>', table)
    row = next(
        part for part in re.split(r"<tr[^>]*>", table) if re.search(rf">{re.escape(case)}</a></th>", part)
    )
    cells = re.findall(r"<td.*?</td>", row, re.DOTALL)
    return " ".join(Parsed(cells[heads.index(backend) - 1]).text.split())


def test_what_turned_red_is_marked_as_new_and_what_stays_red_is_counted(site, index):
    assert "✗ fail: mlp-regressor on torch_eager new" in cell(matrix(site), "mlp-regressor", "torch_eager")
    assert " new " not in cell(matrix(site), "gpt-copy", "torch_eager")
    changed = index.text.split("What changed since the last night")[1].split("Cases and backends")[0]
    assert "newly unhealthy mlp-regressor on torch_eager finite: loss is nan at step 3" in changed
    assert "gpt-copy" not in changed
    assert "So since 2025-06-03 00:00 , 2 runs in a row, first on" in index.text


def test_the_list_of_failures_has_check_cause_remedy_and_evidence(index):
    listed = index.text.split("Not healthy")[1].split("Could not be judged")[0]
    assert f"loss_drop: {nights.STUCK}" in listed
    assert nights.CAUSE in listed
    assert "What to change: Call optimizer.step() after backward." in listed
    assert "update norm 0 at 12 of 12 steps" in listed
    assert "loss is nan at step 3, expected finite numbers" in listed


def test_errors_are_listed_apart_from_failures(index):
    listed = index.text.split("Could not be judged")[1].split("Where the time went")[0]
    assert "timeout: stopped after 60 s in phase train" in listed
    assert "mlp-regressor" not in listed


def test_nights_before_are_listed_with_their_verdict(index):
    assert "6 of 8 healthy; 1 fails; 1 could not be judged; 1 skipped" in index.text.split("Nights before")[1]


def test_a_clock_that_was_wrong_and_a_name_that_machines_share_are_told(tmp_path):
    later = {**nights.ENVIRONMENT, "commit_date": "2025-06-05T00:00:00+00:00", "host": "abc", "boot": "1"}
    boots = ("1", "2", "1")
    runs = [nights.a_run(night=at, environment={**later, "boot": boot}) for at, boot in enumerate(boots)]
    text = parsed(reports.render(nights.History(runs), tmp_path)).text
    assert "Note: 2 of 3 runs are dated before the commit that they measured: a clock was wrong" in text
    assert "Note: Host abc is the name of several machines" in text


def test_an_empty_history_gives_a_page_that_says_what_to_do(tmp_path):
    page = parsed(reports.render(nights.History([]), tmp_path))
    assert "Nothing has run yet" in page.text
    assert "harness run cases" in page.text
    assert page.faults == []


def nine_runs(session):
    return nights.History([nights.timed_out(number) for number in range(9)], [session])


def test_a_session_that_did_not_come_to_its_end_says_how_much_is_missing(tmp_path):
    session = SimpleNamespace(
        id="night-0", started=1.0, finished=None, plan=[["case", "backend", "digest"]] * 12
    )
    page = parsed(reports.render(nine_runs(session), tmp_path))
    assert "Not complete: 3 of 12 planned runs are not on record." in page.text


def test_a_finished_session_is_complete_whatever_was_planned(tmp_path):
    session = SimpleNamespace(
        id="night-0", started=1.0, finished=2.0, plan=[["case", "backend", "digest"]] * 12
    )
    assert "Not complete" not in parsed(reports.render(nine_runs(session), tmp_path)).text


def test_cases_that_the_latest_session_left_out_are_still_reached(tmp_path):
    history = nights.History([nights.stuck(0), nights.a_run(1, night=1)])
    text = parsed(reports.render(history, tmp_path)).text.split("Not asked this time")[1]
    assert "gpt-copy torch_eager ✗ fail 2025-06-03 00:00" in text


def test_the_backend_that_most_cases_use_stands_first(index):
    heads = [text for text in index.texts if text in ("torch_eager", "numpy_float64", "native_c")]
    assert heads == ["torch_eager", "native_c", "numpy_float64"]


# A run


def test_a_run_page_has_its_judgement_diagnosis_and_measurements(site):
    page = page_of(site, nights.stuck)
    for words in (
        nights.STUCK,
        nights.CAUSE,
        "Call optimizer.step() after backward.",
        "1 of 3 expectations met",
    ):
        assert words in page.text
    assert "step_time 1.2 ms 20 1.212 ms to 1.236 ms 1.2 ms to 1.248 ms" in page.text
    assert "peak_memory.train 8.583 MiB" in page.text
    assert "memory 8 GiB" in page.text


def test_what_was_not_met_comes_first(site):
    table = page_of(site, nights.stuck).text.split("in words")[1]
    assert re.findall(r"(\w+) [✗✓] ", table) == ["loss_drop", "updates", "finite"]


def test_a_run_that_broke_shows_its_log_and_draws_nothing(site):
    page = page_of(site, nights.timed_out)
    assert "Ended in phase train: stopped after 60 s in phase train" in page.text
    assert "Traceback <b>here</b>" in page.text
    assert page.all("svg") == []


# A case


def test_a_case_page_has_trends_and_rows_newest_first(site):
    page = parsed(site / "cases" / "cllm-minimal.html")
    assert "Latest on each backend: 1 of 1 healthy; 1 skipped." in page.text
    assert page.text.index("2025-06-04 00:00") < page.text.index("2025-06-03 00:00")
    labels = [attributes["aria-label"] for attributes in page.all("svg")]
    assert labels == [
        "torch_eager, final loss: latest 2.5, median of 2 runs 2.5, 2.5 to 2.5.",
        "torch_eager, step time: latest 1.2 ms, median of 2 runs 1.2 ms, 1.2 ms to 1.2 ms.",
        "torch_eager, startup time: latest 21 ms, median of 2 runs 21 ms, 21 ms to 21 ms.",
        "torch_eager, peak memory: latest 8.583 MiB, median of 2 runs 8.583 MiB, 8.583 MiB to 8.583 MiB.",
    ]


# Text is data


def test_everything_is_escaped(site):
    ours = f"<script>{_words.environment().globals['script']}</script>"
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8").replace(ours, "")
        assert "<script" not in text, path
        assert "<em>" not in text, path
        assert "<b>here" not in text, path
        assert "javascript:" not in text, path
    assert nights.ODD in page_of(site, nights.one_step).text


def test_text_that_is_no_unicode_is_shown_in_escapes(tmp_path):
    run = nights.timed_out(message="bytes \udc80 of a log", case="caf\udce9")
    reports.render(nights.History([run]), tmp_path)
    assert "bytes \\udc80 of a log" in parsed(tmp_path / "index.html").text


@given(st.text(max_size=120))
@settings(deadline=None)
def test_a_file_name_never_leaves_its_folder(text):
    name = slug(text)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,100}", name)
    assert ".." not in name.split("/")
    assert (Path("/site/cases") / f"{name}.html").resolve().parent == Path("/site/cases").resolve()


@given(st.sets(st.text(alphabet="aA-[]. /é0", min_size=1, max_size=4), min_size=2, max_size=30))
@settings(deadline=None)
def test_no_two_texts_share_a_file_name_whatever_the_case(texts):
    assert len({slug(text).lower() for text in texts}) == len(texts)


@pytest.mark.parametrize("text", ["cllm-minimal", "0190f3a2b1c4d5e6f70", "a.b_c"])
def test_plain_names_stay_as_they_are(text):
    assert slug(text) == text


def test_a_name_cannot_pose_as_the_file_of_another():
    taken = slug("gpt[batch=2]")
    assert re.fullmatch(r"gpt-batch-2-[0-9a-f]{8}", taken)
    assert slug(taken) != taken
