"""The C systems: healthy rows pass, each fault of theirs is caught and named; the command line tools; sanitizers."""

import os
import re
import subprocess
from pathlib import Path

import engines
import pytest

from harness.cases import load_cases
from harness.model import Status
from harness.native.compiler import program
from harness.pipeline import judged
from harness.runner import Runner, Task

pytestmark = engines.needs_compiler

CASES = engines.ROOT / "cases"
TOOLS = CASES / "cllm-threads" / "tools"
FAULTS = {
    "ck-engine-training-after-layout": ("updates", "buffers_never_allocated"),
    "ck-engine-update-twice": ("updates", "updated_twice"),
    "cllm-diagnostics-attention-doubles-input": ("attends", "attention_mixes_nothing"),
    "cllm-diagnostics-slow-start": ("startup_time", "starts_slowly"),
    "cllm-threads-race": ("deterministic", "nondeterministic"),
    "cllm-minimal-random-logits": ("generation", "logits_unrelated_to_weights"),
}
"""By case: a check that must fail, and the diagnosis that must be among the first two."""


@pytest.fixture(scope="module")
def shipped():
    return {case.name: case for case in load_cases([CASES]).cases}


@pytest.fixture(autouse=True)
def _workplace(tmp_path, monkeypatch):
    engines.keep_builds(monkeypatch)
    monkeypatch.chdir(tmp_path)


def run(case, tmp_path):
    task = Task(case=case, backend="native_c")
    [finished] = Runner(workers=2, cache=tmp_path / "cache").run([task])
    return judged(finished, "session", {})


# The rows.


def test_every_fault_row_is_listed_and_none_of_them_is_nightly(shipped):
    assert {name for name, case in shipped.items() if "fault" in case.tags and case.library} == set(FAULTS)
    for name in FAULTS:
        assert shipped[name].tags == ("fault",)
        assert [flag for flag in shipped[name].library.flags if flag.startswith("-DFAULT_")]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_caught_and_named(shipped, tmp_path, name):
    check, diagnosis = FAULTS[name]
    found = run(shipped[name], tmp_path)
    assert found.status is Status.FAIL
    assert check in {verdict.check for verdict in found.verdicts if verdict.status is Status.FAIL}
    assert diagnosis in [each.name for each in found.diagnoses[:2]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ck-engine-small", "cllm-minimal"])
def test_each_healthy_row_passes(shipped, tmp_path, name):
    # Times aside: another test may have the cores.
    case = shipped[name]
    found = run(case, tmp_path)
    timed = {"step_time", "step_time_growth", "startup_time", "throughput"}
    wrong = [
        each.message for each in found.verdicts if each.status is Status.FAIL and each.check not in timed
    ]
    assert wrong == []
    assert found.facts.trace.steps == case.config.steps


# The command line tools of report 002.


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    return {
        name: program([TOOLS / f"{name}.c"], folder / name, ["-Wall", "-Wextra"])
        for name in ("train", "generate")
    }


def tool(path, *arguments):
    return subprocess.run(
        [path, *map(str, arguments)], capture_output=True, text=True, errors="replace", check=False
    )


def test_train_save_load_generate(tools, tmp_path):
    prose, checkpoint = CASES / "data" / "prose.txt", tmp_path / "checkpoint"
    done = tool(tools["train"], prose, checkpoint, 60, 1)
    assert (done.returncode, done.stderr) == (0, "")
    losses = [
        float(each) for each in re.findall(r"^step \d+ loss (\S+) grad_norm \S+$", done.stdout, re.MULTILINE)
    ]
    assert len(losses) == 60
    assert losses[0] == pytest.approx(6.91, abs=0.2)  # ln 1000
    assert losses[-1] < 3.2
    assert re.search(r"^bytes weights \d+ .* shared_gradient 512000$", done.stdout, re.MULTILINE)
    assert re.search(r"^seconds backward \S+ update \S+$", done.stdout, re.MULTILINE)
    assert checkpoint.stat().st_size == pytest.approx(490_752 * 4, abs=4000)
    greedy = [tool(tools["generate"], checkpoint, "int main", 30, 1, 1) for _ in range(2)]
    assert greedy[0].returncode == 0, greedy[0].stderr
    assert greedy[0].stdout == greedy[1].stdout
    drawn = [tool(tools["generate"], checkpoint, "the ", 60, 20, seed).stdout for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 5
    letters = set(prose.read_bytes().decode(errors="replace")) | {"\n"}
    assert sum(each in letters for each in drawn[0]) > 0.9 * len(drawn[0])


def test_threads_change_no_loss(tools, tmp_path):
    lines = [
        re.findall(
            r"^step .*$",
            tool(tools["train"], CASES / "data" / "prose.txt", tmp_path / "x", 5, threads).stdout,
            re.MULTILINE,
        )
        for threads in (1, 8)
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 5


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", (), "train TEXT CHECKPOINT STEPS THREADS"),
        ("train", ("nowhere", "x", 1, 1), "cannot read the text"),
        (
            "train",
            (TOOLS / "train.c", "none/x", 1, 1),
            "none/x: cannot be written: No such file or directory",
        ),
        ("train", (TOOLS / "train.c", "x", "many", 1), "expected a whole number from 1"),
        ("generate", (), "generate CHECKPOINT PROMPT COUNT TOP_K SEED"),
        ("generate", ("nowhere", "a", 1, 1, 1), "nowhere: cannot be read: No such file or directory"),
        ("generate", (TOOLS / "train.c", "a", 1, 1, 1), "is no safetensors file"),
    ],
)
def test_tools_that_cannot_say_why_and_leave_with_1(tools, name, arguments, message):
    done = tool(tools[name], *arguments)
    assert done.returncode == 1
    assert message in done.stderr


# Sanitizers: `nox -s sanitizers`.

sanitized = pytest.mark.skipif(
    os.environ.get("HARNESS_SANITIZERS") != "1",
    reason="builds with sanitizers; HARNESS_SANITIZERS=1 asks for it",
)
DRIVER = Path(__file__).parent / "native" / "driver.c"


def drive(tmp_path, sanitizer, *flags):
    flags = [
        f"-fsanitize={sanitizer}",
        "-fno-sanitize-recover=all",
        "-O1",
        "-DENGINE_GRAIN=0",
        "-Wall",
        "-Wextra",
        *flags,
    ]
    return tool(program([DRIVER], tmp_path / "driver", flags), tmp_path / "checkpoint")


def test_the_driver_is_content(tmp_path):
    done = tool(program([DRIVER], tmp_path / "driver"), tmp_path / "checkpoint")
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 models\n", "")


@sanitized
@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
@pytest.mark.parametrize("processor", [("-mno-avx",), ()], ids=["old", "this"])
def test_sanitizers_find_nothing(tmp_path, sanitizer, processor):
    done = drive(tmp_path, sanitizer, *processor)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 models\n", "")


@sanitized
@pytest.mark.slow
def test_the_thread_sanitizer_sees_the_race(tmp_path):
    done = drive(tmp_path, "thread", "-DFAULT_RACE")
    assert done.returncode != 0
    assert "data race" in done.stderr
