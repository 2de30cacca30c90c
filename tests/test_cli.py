import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import jsonschema
import pytest
import yaml
from recorded import DIAGNOSES, VERDICTS, make_run
from tiny import TINY, write

import harness
import harness.cases
from harness.backends.numpy_float64 import NumpyFloat64
from harness.cli import app, main
from harness.cli.run import lines_of
from harness.discover import KINDS, plugins
from harness.model import Status

COMMANDS = tuple(command.name for command in app.registered_commands)
MISTAKE = ("steps: 3", "stepz: 3")
RUN_KEYS = {
    "schema", "id", "session", "case", "backend", "revision", "case_digest", "problem_digest", "started",
    "seconds", "status", "reason", "message", "outcome", "phase", "parameters", "verdicts", "diagnoses",
    "measurements", "environment",
}  # fmt: skip
VERDICT_KEYS = {"check", "status", "observed", "expected", "unit", "step", "tensor", "reason", "message"}


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call(capsys):
    """A command line in this process: its exit code, and the lines that it wrote to both outputs."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return call


def outside(*arguments, code=None, **options):
    """A command line in a process of its own."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "harness"]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def strict_json(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


# Help, version, mistakes on the command line.


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself_and_its_options(call, command, flag):
    code, out, err = call(command, flag)
    [known] = [each for each in app.registered_commands if each.name == command]
    assert (code, err) == (0, [])
    assert out[0].startswith(f"Usage: harness {command}")
    assert " ".join(known.callback.__doc__.split()) in " ".join(" ".join(out).split())


def test_help_shows_all_commands_in_full(call):
    code, out, _ = call("--help")
    assert code == 0
    said = " ".join(" ".join(out).split())
    for known in app.registered_commands:
        assert f"{known.name} {known.callback.__doc__}" in said
    assert "..." not in said.replace("ARGS]...", "")


def test_no_command_shows_the_help_and_is_a_mistake(call):
    code, out, err = call()
    assert code == 2
    assert "Commands:" in out + err


def test_version(call):
    assert call("--version") == (0, [f"training-harness {harness.__version__}"], [])


@pytest.mark.parametrize(
    ("arguments", "begins", "command"),
    [
        (["rum"], "harness: No such command 'rum'", "harness"),
        (["run", "--backen", "x"], "harness run: No such option: --backen", "harness run"),
        (["run", "--workers", "0"], "harness run: Invalid value for '--workers'", "harness run"),
        (["history", "--limit", "x"], "harness history: Invalid value for '--limit'", "harness history"),
        (["schema", "x"], "harness schema: Got unexpected extra argument", "harness schema"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line_each(call, arguments, begins, command):
    code, out, [line] = call(*arguments)
    assert (code, out) == (2, [])
    assert line.startswith(begins)
    assert line.endswith(f"; see `{command} --help`")


def test_the_installed_command_is_this_one():
    [point] = [point for point in entry_points(group="console_scripts") if point.name == "harness"]
    assert point.value == "harness.__main__:main"
    done = outside("--version")
    assert (done.returncode, done.stdout) == (0, f"training-harness {harness.__version__}\n")
    assert outside("lint", "nowhere").returncode == 2


# Errors.


def test_a_known_error_is_its_own_line(call):
    assert call("lint", "nowhere") == (
        2,
        [],
        ["nowhere: no such file or folder; expected case files or folders of them"],
    )


def test_debug_shows_where_and_only_when_asked(call):
    code, _, err = call("--debug", "lint", "nowhere")
    assert code == 2
    assert err[0] == "Traceback (most recent call last):"
    assert err[-1].startswith("nowhere: no such file or folder")
    assert len(call("lint", "nowhere")[2]) == 1


def test_what_nobody_foresaw_is_one_line_and_exit_code_3(call, monkeypatch):
    def broken(_):
        raise RuntimeError("first\n  second")

    write()
    monkeypatch.setattr(harness.cases, "read_cases", broken)
    said = "harness broke: RuntimeError: first second; `harness --debug ...` shows where"
    assert call("lint") == (3, [], [said])


# What is imported when.


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], "torch matplotlib sqlalchemy numpy pydantic yaml rich"),
        (["run", "--help"], "torch matplotlib sqlalchemy numpy yaml rich"),
        (["list"], "torch matplotlib sqlalchemy rich"),
        (["lint"], "torch matplotlib sqlalchemy rich"),
    ],
)
def test_commands_import_no_more_than_they_need(arguments, absent):
    write()
    code = "import sys; from harness.cli import main; print(main(sys.argv[1:]), *sys.modules)"
    done = outside(*arguments, code=code)
    code, *imported = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stderr
    assert not set(absent.split()) & set(imported)


# list, lint, schema.


def test_list_shows_every_plugin_and_case_in_a_line(call):
    write()
    code, out, err = call("list")
    assert (code, err) == (0, [])
    assert out[:2] == ["cases (1)", "  tiny  A tiny decoder.  [numpy_float64]"]
    for kind in KINDS:
        for name, plugin in plugins(kind).items():
            assert any(re.match(rf"  {name} +{re.escape(plugin.about)}", line) for line in out)


def test_list_says_why_a_backend_is_unavailable(call, monkeypatch):
    write()
    monkeypatch.setattr(NumpyFloat64, "packages", {"nosuchmodule": "nosuch>=1"})
    _, out, _ = call("list")
    [line] = [line for line in out if line.startswith("  numpy_float64")]
    assert line.endswith("unavailable: needs nosuch>=1: pip install 'nosuch>=1'")


def test_list_as_json_and_with_mistakes(call):
    write("good")
    write("bad", MISTAKE)
    code, _, err = call("list", "--json", "list.json")
    assert (code, err) == (2, ["2 mistakes in case files: `harness lint` shows more"])
    found = strict_json(Path("list.json").read_text())
    assert found["schema"] == 1
    assert found["cases"] == [
        {"name": "good", "about": "A tiny decoder.", "backends": ["numpy_float64"], "tags": ["small"]}
    ]
    assert {row["name"] for row in found["checks"]} == set(plugins("checks"))


def test_lint_of_good_files(call):
    write("one")
    write("two")
    assert call("lint") == (0, ["2 cases in 2 files, no mistakes"], [])
    assert call("lint", "cases/one.yaml") == (0, ["1 case in 1 file, no mistakes"], [])


def test_lint_shows_all_mistakes_at_once(call):
    bad, worse = write("bad", MISTAKE), write("worse", ("lr: 0.1", "lr: -1"))
    code, out, err = call("lint", "cases", "--json", "lint.json")
    assert (code, out) == (2, ["0 cases in 2 files, 3 mistakes"])
    assert err == [
        f"{bad}:6:1: config.steps: missing",
        f"{bad}:10:3: config.stepz: unknown key; did you mean 'steps'?",
        f"{worse}:11:21: config.optimizer.sgd.lr: expected >= 0, got -1",
    ]
    assert strict_json(Path("lint.json").read_text()) == {"schema": 1, "cases": [], "mistakes": err}


def test_schema_is_a_json_schema_that_takes_what_lint_takes(call):
    code, out, _ = call("schema")
    schema = strict_json("\n".join(out))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    assert code == 0
    assert checker.is_valid(yaml.safe_load(TINY))
    assert not checker.is_valid(yaml.safe_load(TINY.replace(*MISTAKE)))


# run, report, history.


def test_run_report_history(call):
    write()
    code, out, err = call("run", "--report")
    assert (code, err) == (0, [])
    assert out[0] == "1 run, 1 at a time"
    assert re.fullmatch(r"pass   tiny \[numpy_float64\] [\d.e-]+ s", out[1])
    assert re.fullmatch(r"1 passed in [\d.]+ s; recorded in out/history.sqlite", out[2])
    assert out[3:] == ["report: out/site/index.html"]
    assert "tiny" in Path("out/site/index.html").read_text()

    assert call("report", "--out", "elsewhere") == (0, ["report: elsewhere/index.html"], [])
    assert Path("elsewhere/index.html").is_file()

    code, [line], err = call("history", "--json", "history.json")
    assert (code, err) == (0, [])
    assert re.match(
        r"[0-9a-f]{11}  \d{4}-\d\d-\d\d \d\d:\d\d  -          \s*pass   tiny \[numpy_float64\]  ", line
    )
    assert re.search(r"  final_loss [12]\.\d+  loss_drop \S+ %  step_time \S+ [um]s  peak_memory ", line)
    [run] = strict_json(Path("history.json").read_text())["runs"]
    assert (run["case"], run["status"]) == ("tiny", "pass")


def test_a_failure_is_told_with_observed_and_expected(call):
    write("tiny", ("parameters: 920", "{parameters: 921, loss_drop: {at_least: 99%}}"))
    write("well")
    code, out, err = call("run", "--workers", "2")
    assert (code, err) == (1, [])
    assert out[0] == "2 runs, 2 at a time"
    assert "fail   tiny [numpy_float64] parameters: 920 parameters, expected 921" in out
    [drop] = [line for line in out if "loss_drop" in line]
    assert re.fullmatch(
        r"fail   tiny \[numpy_float64\] loss_drop: \S+ % over 3 steps \(\S+ to \S+\), expected >= 99 %", drop
    )
    assert out[-1].startswith("1 passed, 1 failed in ")


def test_a_run_that_breaks_is_an_error_and_not_a_failure(call):
    write("tiny", ("tags: [small]", "timeout: 1 us"))
    code, out, err = call("run")
    assert (code, err) == (3, [])
    assert out[1].startswith(
        "error  tiny [numpy_float64] timeout: stopped after its time limit of 1e-06 s in phase"
    )
    assert out[2].startswith("0 passed, 1 error in ")


def test_a_backend_that_is_not_there_is_skipped_with_the_reason(call, monkeypatch):
    write()
    monkeypatch.setattr(NumpyFloat64, "packages", {"nosuchmodule": "nosuch>=1"})
    why = "needs nosuch>=1: pip install 'nosuch>=1'"
    code, out, _ = call("run")
    assert code == 0
    assert out[1] == f"skip   tiny [numpy_float64] unavailable: {why}"
    assert out[2].startswith("0 passed, 1 skipped in ")
    assert call("run", "--dry-run")[1][0] == f"tiny [numpy_float64] would be skipped: {why}"


def test_the_shape_of_json(call):
    write()
    assert call("run", "--json", "deep/down/run.json")[0] == 0
    found = strict_json(Path("deep/down/run.json").read_text())
    assert (found.keys(), found["schema"]) == ({"schema", "runs"}, 1)
    [run] = found["runs"]
    assert run.keys() == RUN_KEYS
    assert (run["schema"], run["case"], run["backend"], run["status"]) == (1, "tiny", "numpy_float64", "pass")
    assert (run["reason"], run["diagnoses"]) == ("", [])
    assert [verdict["check"] for verdict in run["verdicts"]] == ["finite", "parameters"]
    assert all(verdict.keys() == VERDICT_KEYS for verdict in run["verdicts"])
    assert run["measurements"]["step_time"].keys() == {"value", "unit", "samples"}
    assert run["measurements"]["step_time"]["unit"] == "s"
    assert {"device", "threads", "dtype", "python", "numpy"} <= run["environment"].keys()


def test_numbers_that_are_not_finite_are_texts_in_json(call):
    write("tiny", ("lr: 0.1", "lr: 1.0e200"))
    code, out, _ = call("run", "--json", "run.json")
    assert code == 1
    [run] = strict_json(Path("run.json").read_text())["runs"]
    assert (run["status"], run["reason"]) == ("fail", "nonfinite")
    assert run["verdicts"][0]["observed"] in ("nan", "inf", "-inf")
    assert out[1].startswith("fail   tiny [numpy_float64] finite: ")
    assert out[1].endswith("expected finite numbers")


@pytest.mark.parametrize("arguments", [["lint"], ["list"], ["run", "--dry-run"], ["run"], ["history"]])
def test_json_on_standard_output_is_alone_there(call, arguments):
    write()
    if arguments == ["history"]:
        call("run")
    code, out, err = call(*arguments, "--json", "-")
    assert (code, strict_json("\n".join(out))["schema"]) == (0, 1)
    assert err


def test_a_dry_run_runs_and_records_nothing(call):
    write("one")
    write("two", ("[numpy_float64]", "[torch_eager, numpy_float64]"))
    code, out, err = call("run", "--dry-run", "--json", "plan.json")
    assert (code, err) == (0, [])
    assert out == [
        "one [numpy_float64]",
        "two [torch_eager]",
        "two [numpy_float64]",
        "3 runs; nothing was run",
    ]
    plan = strict_json(Path("plan.json").read_text())["plan"]
    assert plan[1] == {"case": "two", "backend": "torch_eager", "impossible": ""}
    assert not Path("out").exists()


def chosen(call, *arguments):
    return call("run", "--dry-run", *arguments)[1][:-1]


def test_tags_and_backends_choose(call):
    write("one", ("[small]", "[small, quick]"))
    write("two", ("[numpy_float64]", "[torch_eager, numpy_float64]"))
    write("three", ("[small]", "[large]"))
    assert chosen(call, "--tag", "quick") == ["one [numpy_float64]"]
    assert chosen(call, "--tag", "quick", "--tag", "large") == [
        "one [numpy_float64]",
        "three [numpy_float64]",
    ]
    assert chosen(call, "--backend", "torch_eager") == ["two [torch_eager]"]
    assert chosen(call, "--tag", "small", "--backend", "torch_eager") == ["two [torch_eager]"]
    assert chosen(call, "cases/three.yaml") == ["three [numpy_float64]"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tag", "smal"], "--tag: no case carries 'smal'; did you mean 'small'?"),
        (["--tag", "small", "--tag", "zzz"], "--tag: no case carries 'zzz'; known: small"),
        (["--backend", "torch"], "--backend: unknown name 'torch'; did you mean 'torch_ddp'?"),
        (["--backend", "torch_eager"],
         "--backend: none of the chosen cases runs on 'torch_eager'; see `harness list`"),
        (["none.yaml"], "none.yaml: no such file or folder; expected case files or folders of them"),
    ],
)  # fmt: skip
def test_what_matches_nothing_is_a_mistake(call, arguments, message):
    write()
    assert call("run", *arguments) == (2, [], [message])
    assert not Path("out").exists()


def test_an_interrupted_run_is_resumed(call, monkeypatch):
    for name in ("one", "two", "three"):
        write(name)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("harness.cli.run.lines_of", interrupt)
        code, _, [said] = call("run")
    assert code == 130
    assert said == "interrupted; nothing that was recorded is lost, `harness run ... --resume` goes on"
    assert len(call("history")[1]) == 1

    code, out, _ = call("run", "--resume")
    assert code == 0
    assert sum(line.startswith("pass") for line in out) == 2
    assert out[-1].startswith("3 passed in ")
    assert len(call("history")[1]) == 3


def test_history_chooses_and_refuses(call):
    write("one")
    write("two")
    call("run")
    call("run", "cases/two.yaml")
    assert [line.split()[5] for line in call("history")[1]] == ["one", "two", "two"]
    assert len(call("history", "--limit", "1")[1]) == 1
    assert len(call("history", "one", "--backend", "numpy_float64")[1]) == 1
    code, _, [said] = call("history", "tow")
    assert (code, said) == (2, "store out/history.sqlite: no runs of case 'tow'; did you mean 'two'?")
    code, _, [said] = call("history", "--backend", "numpy_float")
    assert (code, said) == (
        2,
        "store out/history.sqlite: no runs of backend 'numpy_float'; did you mean 'numpy_float64'?",
    )


@pytest.mark.parametrize("command", ["history", "report"])
def test_looking_back_needs_a_store(call, command):
    said = "store none.sqlite: there is none yet; `harness run` makes it"
    assert call(command, "--store", "none.sqlite") == (2, [], [said])
    assert list(Path().iterdir()) == []


# Lines.


def test_lines_of_a_run():
    sick = make_run(verdicts=[replace(verdict, message="m") for verdict in VERDICTS])
    assert lines_of(sick) == [
        "fail   cllm-minimal [torch_eager] gradients: m",
        *(f"       {found.cause}. {found.remedy}" for found in DIAGNOSES),
    ]
    assert lines_of(make_run(status=Status.PASS)) == ["pass   cllm-minimal [torch_eager] 1.5 s"]
    crashed = make_run(status=Status.ERROR, reason="crashed", message="SIGSEGV in phase train", verdicts=())
    assert lines_of(crashed) == ["error  cllm-minimal [torch_eager] crashed: SIGSEGV in phase train"]


def test_plain_lines_when_nobody_looks():
    write()
    done = outside("run")
    assert done.returncode == 0
    assert done.stderr == ""
    assert not re.search(r"[\x1b\r]", done.stdout)


def test_a_bar_on_a_terminal():
    write()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "run"],
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(ours)
    assert process.returncode == 0
    assert re.search(r"\x1b\[", shown)
    assert "0/1" in shown
    assert re.search(r"pass   tiny \[numpy_float64\]", shown)


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_a_reader_that_has_gone_is_no_error_and_no_pass():
    write()
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, "")


MOVING = """
from harness.cli._screen import moving_line
with moving_line("making checkouts") as tell:
    tell("1234567: [a] case")
    import time; time.sleep(0.3)
    print("said")
"""


def test_what_goes_on_is_told_on_a_terminal_and_takes_nothing_from_a_file(tmp_path):
    ours, theirs = pty.openpty()
    with (tmp_path / "out").open("wb") as file:
        for output in (theirs, file):
            subprocess.run(
                [sys.executable, "-c", MOVING], stdout=output, stderr=theirs, check=True, timeout=60
            )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert b"1234567: [a] case" in shown
    assert shown.count(b"said") == 1
    assert (tmp_path / "out").read_bytes() == b"said\n"
