"""Programs under the suite: what they print is judged rightly, however they end."""

from dataclasses import replace
from textwrap import dedent

import pytest

from harness.cases import load_cases, read_cases
from harness.discover import get, working
from harness.judge import judge
from harness.measure import Progress
from harness.model import BrokenError, HarnessError, Outcome, Status
from harness.runner import Runner, Task

CASE = """
schema: 1
about: A program.
timeout: 20 s
model:
  command: [python3, program.py, "{steps}", "{out}"]
  vocabulary: 8
config: {steps: 4, optimizer: {sgd: {lr: 0.1}}}
backends: [command]
expect:
  loss_drop: {at_least: 10%}
"""
HEALTHY = """
import json
for step in range(4):
    print(json.dumps({"step": step, "loss": 2.0 - 0.3 * step, "lr": 0.1, "grad_norm": 1.0}), flush=True)
"""


@pytest.fixture
def case(tmp_path):
    def make(program, text=CASE, **model):
        (tmp_path / "program.py").write_text(dedent(program))
        path = tmp_path / "program.yaml"
        path.write_text(text)
        (found,) = load_cases([path]).cases
        return replace(found, model=replace(found.model, **model))

    return make


@pytest.fixture
def facts(tmp_path):
    def record(case):
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        return get("backends", "command")().record(case, scratch, Progress(scratch / "progress"))

    return record


def judged(case, found):
    return judge(case.expectations("command"), found, [one() for one in working("diagnoses").values()])


def test_a_healthy_program_passes(case, facts):
    healthy = case(HEALTHY)
    found = facts(healthy)
    assert judged(healthy, found).status is Status.PASS
    assert found.trace.loss.tolist() == pytest.approx([2.0, 1.7, 1.4, 1.1])
    assert found.trace.gradient_norm.tolist() == [[1.0]] * 4
    assert "learning_rate" not in found.trace.absent
    assert {"weight_norm", "update_ratio", "memory"} <= set(found.trace.absent)
    assert found.problem.learning_rates == (0.1,) * 4
    assert found.measurements["peak_memory.program"].value > 1e6
    used = found.measurements["cpu_use"]
    assert (used.unit, found.measurements["cpu_use.per_thread"].unit) == ("", "%")
    assert 0 <= used.value * found.measurements["program_time"].value < 60


def test_it_finds_the_case_its_settings_and_a_folder(case, facts):
    found = facts(
        case("""
        import json, os, pathlib, sys
        told = json.loads(pathlib.Path(os.environ["HARNESS_CASE"]).read_text())
        assert (told["name"], told["config"]["steps"], sys.argv[1]) == ("program", 4, "4")
        assert told["out"] == sys.argv[2] and pathlib.Path("program.yaml").exists()
        (pathlib.Path(told["out"]) / "w.bin").write_bytes(b"x" * 100)
        for step in range(1, 5):
            print(json.dumps({"step": step, "loss": 1 / step}))
        print(json.dumps({"parameters": 25, "held_out_loss": 0.5, "checkpoint": told["out"] + "/w.bin"}))
        """)
    )
    assert (found.parameters, found.trace.steps) == (25, 4)
    assert found.measurements["held_out_loss"].value == 0.5
    assert found.answers["checkpoint"].facts == {"bytes": 100}


@pytest.mark.parametrize(
    ("program", "judged_as", "words"),
    [
        ("print('training done, all good')", ("error", "missing"), "no step was recorded; 1 lines were read"),
        ("pass", ("error", "missing"), "no step was recorded"),
        (HEALTHY + "print('not ok 1 - attention')", ("fail", "not_ok"), "in line 5: not ok 1 - attention"),
        (
            HEALTHY.replace("range(4)", "(0, 1, 3)"),
            ("fail", "cut_short"),
            "3 of 4 steps were recorded, expected all of them; the first that lacks is 2",
        ),
        (
            HEALTHY.replace("range(4)", "(0, 1, 2, 2, 3)"),
            ("fail", "repeated_steps"),
            "step 2; expected each once",
        ),
        (
            HEALTHY.replace("range(4)", "range(6)"),
            ("fail", "too_many_steps"),
            "6 of 4 steps were recorded, expected all of them",
        ),
        (
            HEALTHY.replace('"lr": 0.1', '"lr": "fast"'),
            ("error", "unreadable"),
            "lr is 'fast', expected a number",
        ),
        (HEALTHY.replace("2.0 - 0.3 * step", "float('nan')"), ("fail", "nonfinite"), "loss is nan at step 0"),
        (HEALTHY.replace("2.0 - 0.3 * step", "2.0"), ("fail", "out_of_bounds"), "0 % over 4 steps"),
    ],
)
def test_what_a_program_says_is_judged_rightly(case, facts, program, judged_as, words):
    found = case(program)
    judgement = judged(found, facts(found))
    assert (judgement.status, judgement.reason) == judged_as
    assert words in judgement.message


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("raise SystemExit(3)", "the program left with exit code 3 after 4 of 4 steps; its last line: "),
        ("import os; os.abort()", "the program died of SIGABRT after 4 of 4 steps; its last line: "),
    ],
)
def test_a_program_that_ends_badly_is_an_error(case, facts, end, message):
    found = case(HEALTHY + end)
    judgement = judged(found, facts(found))
    assert (judgement.status, judgement.reason) == (Status.ERROR, "crashed")
    assert judgement.message.startswith(message)


def test_output_without_end_is_cut(case, facts, monkeypatch):
    monkeypatch.setattr("harness.backends.command.MOST_BYTES", 1 << 16)
    with pytest.raises(BrokenError, match="printed more than 0 MiB"):
        facts(case("while True: print('ok' * 40)"))


def test_a_program_that_closes_its_output_and_goes_on_is_killed(case, facts, monkeypatch):
    monkeypatch.setattr("harness.backends.command.PATIENCE", 0.2)
    program = HEALTHY + "import os, time\nos.close(1); os.close(2); time.sleep(60)"
    with pytest.raises(BrokenError, match="closed its output and went on"):
        facts(case(program))


def test_a_line_without_end_is_no_trouble(case, facts):
    found = facts(case("print('x' * 3_000_000)\n" + HEALTHY))
    assert found.trace.steps == 4


def test_a_program_that_is_not_there_is_the_users_input(case, facts):
    with pytest.raises(HarnessError, match="no program 'no-such-program' on the path"):
        facts(case(HEALTHY, command=("no-such-program",)))


def test_a_file_that_is_no_program_is_the_users_input(case, facts, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(HarnessError, match=r"cannot start '.*notes.txt': Permission denied"):
        facts(case(HEALTHY, command=("./notes.txt",)))


def test_a_series_in_a_file(case, facts):
    program = """
    import sys
    open(sys.argv[2] + "/log.csv", "w").write("step,loss\\n" + "\\n".join(f"{s},{2 - 0.3 * s}" for s in range(4)))
    """
    assert facts(case(program, series="{out}/log.csv")).trace.steps == 4


def test_a_series_that_was_not_written(case, facts):
    with pytest.raises(BrokenError, match=r"model.series: 'log.csv': No such file"):
        facts(case(HEALTHY, series="log.csv"))


def test_the_frozen_adapter_of_the_field_report_is_seen_in_its_log_alone(case, facts):
    program = """
    for step in range(4):
        print({"loss": 0.0, "grad_norm": float("nan"), "learning_rate": 2e-4 * (1 - step / 4), "epoch": 0.3 * step})
    """
    frozen = case(program, log="hugging_face")
    judgement = judged(frozen, facts(frozen))
    assert (judgement.status, judgement.reason) == (Status.FAIL, "nonfinite")
    assert judgement.diagnoses


def test_what_was_not_told_is_never_judged(case, facts):
    text = (
        CASE
        + '  weights: {"*": {norm: [0, 1e9]}}\n  updates: {per_step: 1}\n  memory_growth: {at_most: 1 MiB}\n'
    )
    told = case(HEALTHY, text)
    judgement = judged(told, facts(told))
    lacking = {
        verdict.check: verdict.reason for verdict in judgement.verdicts if verdict.status is Status.ERROR
    }
    assert lacking == dict.fromkeys(("weights", "updates", "memory_growth"), "missing")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"{steps}"',
            '"{step}"',
            "'{step}' in '{step}' stands for nothing; known: steps, seed, threads, case, out",
        ),
        ("vocabulary: 8", "pattern: '('", "is no regular expression"),
        ("vocabulary: 8", "pattern: 'x'", "has no group 'loss'"),
        ("command: [python3", "comand: [python3", "unknown kind"),
        ("backends: [command]", "backends: [comand]", "did you mean 'command'?"),
    ],
)
def test_mistakes_in_the_case(tmp_path, old, new, words):
    path = tmp_path / "bad.yaml"
    assert old in CASE
    path.write_text(CASE.replace(old, new))
    assert words in " ".join(map(str, read_cases([path]).mistakes))


def test_programs_and_computed_models_do_not_mix(case):
    program = case(HEALTHY, CASE.replace("backends: [command]", "backends: [command, torch_eager]"))
    ended = {
        done.task.backend: done.facts
        for done in Runner().run([Task(case=program, backend=name) for name in program.backends])
    }
    assert ended["torch_eager"].outcome is Outcome.UNSUPPORTED
    assert ended["torch_eager"].message == "takes a decoder or mlp, model is a command"
    assert ended["command"].outcome is Outcome.COMPLETED


def test_an_endless_program_is_killed_whole(case):
    endless = replace(
        case('import time\nprint(\'{"step": 0, "loss": 1}\', flush=True)\ntime.sleep(600)'), timeout=1.0
    )
    (done,) = Runner().run([Task(case=endless, backend="command")])
    assert done.facts.outcome is Outcome.TIMEOUT


def test_another_program_is_another_case_with_the_same_problem(case, facts, tmp_path):
    first = case(HEALTHY)
    problem = facts(first).problem
    (tmp_path / "scratch").rename(tmp_path / "before")
    second = case(HEALTHY + "\n# changed")
    assert second.digest != first.digest
    assert facts(second).problem == problem


def test_steps_that_are_lost_after_the_log_was_read_are_seen_too(case, facts):
    healthy = case(HEALTHY)
    found = facts(healthy)
    trace = found.trace
    rows = {name: getattr(trace, name)[:3] for name in ("loss", "learning_rate", "memory", "gradient_norm")}
    judgement = judged(healthy, replace(found, trace=replace(trace, **rows)))
    assert (judgement.status, judgement.reason) == (Status.FAIL, "cut_short")
