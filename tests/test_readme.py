"""The documentation is tested: its tables against the code; cases, examples and commands by running them."""

import ast
import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import yaml

from harness import cli, families, spec
from harness.cli import app, main
from harness.discover import plugins, working
from harness.documents import parse
from harness.draft import KEYS
from harness.programs import CommandModel, Lora, PythonModel, ScriptModel, Transformers
from harness.validation import validate

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
NOXFILE = ROOT / "noxfile.py"
BOTH = pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])


def table(first):
    """The rows of the README's table whose first column is headed so."""
    [found] = re.findall(rf"^\| {re.escape(first)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    split = re.compile(r"(?<!\\)\|")
    return [[cell.strip() for cell in split.split(line)[1:-1]] for line in found.splitlines()]


def code(cell):
    """What stands in backticks at the beginning of a cell."""
    return re.match(r"`([^`]+)`", cell)[1]


def words(cell):
    return set(re.findall(r"\w+", cell))


def names(first):
    found = [code(row[0]) for row in table(first)]
    assert len(found) == len(set(found)), "a row is there twice"
    return set(found)


def blocks(text, mark):
    """Blocks of code below a comment `<!-- mark: name -->`, by name."""
    found = re.findall(rf"<!-- {mark}: (.+?) -->\n```\w+\n(.*?)```\n", text, re.DOTALL)
    assert len(found) == len(dict(found)), "a name is there twice"
    return dict(found)


def field_names(kind):
    return {field.name for field in fields(kind)}


# Tables against the code.


def command_parameters():
    """Every option of every command, by its flag: the commands that have it."""
    found = {}
    for command in app.registered_commands:
        for parameter in command_line(command.name).params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                found.setdefault(parameter.opts[0], []).append(command.name)
    return found


def command_line(name):
    import typer

    return typer.main.get_command(app).commands[name]


def test_every_command_is_in_the_table_with_its_arguments():
    found = {}
    for command in app.registered_commands:
        arguments = [each for each in command_line(command.name).params if each.param_type_name == "argument"]
        found[command.name] = [
            each.name.upper() if each.required else f"[{each.name.upper()}]" for each in arguments
        ]
    shown = [code(row[0]).split() for row in table("command")]
    assert {name: arguments for _, name, *arguments in shown} == found
    assert {first for first, *_ in shown} == {"harness"}


def test_every_option_is_in_the_table_with_its_commands():
    shown = {code(row[0]).split()[0]: row[1].split(", ") for row in table("option")}
    assert {flag: sorted(of) for flag, of in shown.items()} == {
        flag: sorted(of) for flag, of in command_parameters().items()
    }
    common = {each.opts[0] for each in get_common().params} - {"--help"}
    assert common <= set(re.findall(r"`(--\w+)`", README))


def get_common():
    import typer

    return typer.main.get_command(app)


def test_exit_codes():
    said = {int(row[0]) for row in table("exit code")}
    assert said == {0, 1, cli.WRONG_INPUT, cli.BROKE, cli.INTERRUPTED, cli.NO_READER}


def test_keys_of_a_case():
    assert names("key") == set(KEYS)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("key of `config`", spec.Config),
        ("key of `decoder`", spec.Decoder),
        ("key of `library`", spec.Library),
        ("key of `mlp`", spec.Mlp),
        ("key of `command`", CommandModel),
        ("key of `script`", ScriptModel),
        ("key of `python`", PythonModel),
        ("key of `transformers`", Transformers),
        ("key of `lora`", Lora),
    ],
)
def test_keys_of_models_and_config(heading, kind):
    assert names(heading) == field_names(kind)


def literals(kind):
    """All words that a field with a fixed choice takes."""
    found = set()
    for field in fields(kind):
        found |= {word for word in get_args(field.type) if isinstance(word, str)}
    return found


@pytest.mark.parametrize("kind", [spec.Decoder, spec.Mlp, spec.Config, spec.TextData, spec.Schedule])
def test_every_choice_is_named(kind):
    assert literals(kind)
    assert {word for word in literals(kind) if f"`{word}`" not in README} == set()


@pytest.mark.parametrize(
    ("heading", "path"), [("`data`", ("config", "data")), ("`optimizer`", ("config", "optimizer"))]
)
def test_kinds_of_data_and_optimizers_with_all_their_keys(heading, path):
    kinds = {"data": spec.Data, "optimizer": spec.Optimizer}[path[-1]]
    shown = {}
    for row in table(heading):
        node = parse(code(row[0]), Path("README.md"))
        value, mistakes = validate(kinds, node, ".".join(path))
        assert not mistakes, mistakes
        [(name, inner), *_] = node.mapping.items()
        shown[name] = set(node.mapping) if isinstance(value, spec.TextData) else set(inner.mapping)
        inner_kind = type(value) if isinstance(value, spec.TextData) else type(getattr(value, name))
        assert shown[name] == field_names(inner_kind)
    assert set(shown) == set(families._KINDS[path])


def test_keys_of_schedules():
    [row] = table("`schedule`")
    [(kind, rest)] = yaml.safe_load(code(row[0])).items()
    assert kind in literals(spec.Schedule)
    assert set(rest) == field_names(spec.Schedule) - {"kind"}


def row_for(name, plugin):
    """What the README could say of a check, for whoever added it."""
    example = re.search(r"`([^`]+)`", plugin.value.__doc__ or "")
    return f"| `{name}` | `{example and example[1]}` | {plugin.about} |"


def test_every_check_is_in_the_table_with_a_valid_example_and_its_parameters():
    lacking = {name: plugin for name, plugin in plugins("checks").items() if name not in names("check")}
    assert not lacking, "\n".join(row_for(name, plugin) for name, plugin in lacking.items())
    assert names("check") == set(plugins("checks"))
    for row in table("check"):
        name, kind = code(row[0]), working("checks")[code(row[0])]
        [(key, node)] = parse(code(row[1]), Path("README.md")).mapping.items()
        check, mistakes = validate(kind, node, key, entire=kind.entire)
        assert (key, mistakes) == (name, [])
        assert check.name == name
        assert field_names(kind) - {kind.entire} <= words(row[1]) | words(row[2]), name


def test_the_examples_name_every_bound_of_a_tensor():
    from harness.checks.gradients import GradientBounds
    from harness.checks.weights import WeightBounds

    rows = {code(row[0]): words(row[1]) & words(row[2]) for row in table("check")}
    assert field_names(GradientBounds) <= rows["gradients"]
    assert field_names(WeightBounds) <= rows["weights"]


def test_every_backend_is_in_the_table():
    assert names("backend") == set(plugins("backends"))


def test_the_mistake_that_is_shown_is_one(tmp_path, monkeypatch, capsys):
    [shown] = re.findall(r"^(cases/first\.yaml:\d+:\d+: expect\..*)$", README, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    Path("cases").mkdir()
    Path("cases/first.yaml").write_text(
        blocks(README, "case")["first.yaml"].replace("loss_drop:", "los_drop:")
    )
    assert main(["lint"]) == 2
    assert capsys.readouterr().err.splitlines() == [shown]


def test_the_counts_of_the_changelog():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"- {len(plugins('checks'))} checks," in text
    assert "## [Unreleased]" in text


# Cases and their output.


def test_every_case_of_the_documentation_is_good(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = blocks(README, "case")
    whole = [block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "schema:" in block]
    assert sorted(whole) == sorted(cases.values())
    for name, text in (cases | blocks(README, "file")).items():
        Path(name).write_text(text)
    assert main(["lint", "."]) == 0


def pattern(line):
    """A line of output with every number left open: other machines round and hurry otherwise."""
    return re.sub(r"(?<![\w.])-?\d[\d.]*(e-?\d+)?(?!\w)", "#", line)


def on_the_reference(lines):
    """What is said of one backend: its lines, and below each what is indented."""
    mine = False
    for line in lines:
        mine = (
            "[numpy_float64]" in line
            if re.match(r"(pass|fail|error|skip) ", line)
            else mine and line[:1] == " "
        )
        if mine:
            yield pattern(line)


@pytest.mark.parametrize("name", list(blocks(README, "output")))
def test_the_output_that_is_shown_is_what_comes(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    case, _, change = name.partition(", ")
    text = blocks(README, "case")[case]
    if change:
        old, new = change.split(" -> ")
        assert text.count(old) == 1
        text = text.replace(old, new)
    Path(case).write_text(text)
    assert main(["run", case, "--backend", "numpy_float64"]) == (1 if change else 0)
    found = list(on_the_reference(capsys.readouterr().out.splitlines()))
    shown = list(on_the_reference(blocks(README, "output")[name].splitlines()))
    assert shown
    # Dots stand for more diagnoses, which come after the best one.
    assert found[: len(shown)] == shown
    assert len(found) == len(shown) or "\n...\n" in blocks(README, "output")[name]


STATUSES = ("pass", "skip")


def test_the_night_that_is_shown_is_of_the_shipped_cases():
    [shown] = re.findall(r"<!-- nightly -->\n```text\n(.*?)```", README, re.DOTALL)
    from harness.cases import load_cases
    from harness.pipeline import plan_tasks

    cases = [case for case in load_cases([ROOT / "cases"]).cases if "nightly" in case.tags]
    plan = {f"{task.case.name} [{task.backend}]" for task in plan_tasks(cases)}
    first, *lines = shown.splitlines()
    [count] = re.fullmatch(r"(\d+) runs, 2 at a time", first).groups()
    assert {" ".join(line.split()[1:3]) for line in lines if line.split()[0] in STATUSES} <= plan
    ended = next(line for line in lines if "recorded in" in line)
    passed, skipped = re.fullmatch(
        r"(\d+) passed(?:, (\d+) skipped)? in \S+ s; recorded in out/history.sqlite", ended
    ).groups()
    assert int(passed) + int(skipped or 0) == int(count)
    assert lines[-1] == "report: out/site/index.html"


# Programs of other languages and frameworks.


@pytest.mark.parametrize("name", list(blocks(README, "program")))
def test_the_programs_that_are_shown_do_what_is_shown(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    case, _, change = name.partition(", ")
    program = {"engine.yaml": "train.c", "finetune.yaml": "finetune.py"}.get(case, "train.py")
    _written(program, change)
    Path(case).write_text(blocks(README, "case")[case])
    _made_ready(program)
    assert main(["run", case]) == (1 if change else 0)
    shown = blocks(README, "program")[name].splitlines()
    said = capsys.readouterr().out
    assert appear_in_order(shown, said.splitlines()), said


@pytest.mark.parametrize("name", list(blocks(README, "doctor")))
def test_what_the_doctor_is_shown_to_say_comes(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    program, _, change = name.partition(", ")
    _written(program, change)
    assert main(["doctor", program]) == 1
    shown = [line for line in blocks(README, "doctor")[name].splitlines() if not line.startswith("loss ")]
    said = capsys.readouterr().out
    assert appear_in_order(shown, said.splitlines()), said


def _written(program, change):
    """A program of the README in a file, as it is or with a change `old -> new`."""
    text, (old, _, new) = blocks(README, "file")[program], change.partition(" -> ")
    assert text.count(old) == 1 or not change
    Path(program).write_text(text.replace(old, new) if change else text)


def _made_ready(program):
    """Compiled, or able to be imported; else there is nothing to see here."""
    if program == "finetune.py":
        pytest.importorskip("transformers")
        pytest.importorskip("accelerate")
    elif program == "train.c" and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    elif program == "train.c":
        subprocess.run(["cc", "-O2", "-o", "train", program, "-lm"], check=True)


# Tests of pytest and what they print.


def appear_in_order(shown, lines):
    """Whether lines, numbers left open, are among others in their order; `...` stands for any."""
    rest = iter([pattern(line.rstrip()) for line in lines])
    return all(pattern(line) in rest for line in shown if line != "...")


@pytest.mark.parametrize("arguments", list(blocks(README, "pytest")))
def test_what_pytest_is_shown_to_print_comes(tmp_path, arguments):
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "first.yaml").write_text(blocks(README, "case")["first.yaml"])
    for name, text in blocks(README, "test").items():
        (tmp_path / name).write_text(text)
    # By its module, and not by the entry point: which of the two is there depends on the installation.
    options = ["-p", "harness.pytest_plugin", "-p", "no:harness", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments.split()],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    shown = blocks(README, "pytest")[arguments].splitlines()
    assert appear_in_order(shown, done.stdout.splitlines()), done.stdout + done.stderr


# The examples of CONTRIBUTING: files of a copy of the tree.


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree with every file of the examples in its place: no other edit."""
    folder = tmp_path_factory.mktemp("tree")
    for package in ("harness", "reports"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in blocks(CONTRIBUTING, "file").items():
        assert not (folder / path).exists(), f"{path} is there already; take another example"
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return folder


def inside(tree, *arguments):
    """A module run with the copy in place of the installed package; its standard output."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


CONTRACTS = """\
from harness.testing import BackendContract, CheckContract, ProbeContract


class TestCheck(CheckContract):
    names = ("perplexity",)


class TestProbe(ProbeContract):
    names = ("largest_logit",)


class TestBackend(BackendContract):
    names = ("torch_anomaly",)
"""


def test_the_examples_hold_their_contracts(tree):
    (tree / "test_examples.py").write_text(CONTRACTS)
    options = ("-q", "-p", "no:cacheprovider", "-W", "error", "--strict-markers", "--rootdir", str(tree))
    said = inside(tree, "pytest", *options, "test_examples.py")
    passed, *others = re.findall(r"(\d+) (\w+)", said.splitlines()[-1])
    assert (passed[1], [what for _, what in others if what in ("failed", "error", "skipped")]) == (
        "passed",
        [],
    )
    assert int(passed[0]) > 30


USING = """\
schema: 1
extends: four-clusters.yaml
about: All examples at once.
backends: [torch_anomaly, numpy_float64]
expect:
  perplexity: {at_most: 3}
"""


def test_the_examples_run_and_are_shown(tree):
    (tree / "cases" / "using.yaml").write_text(USING)
    listed = inside(tree, "harness", "list")
    for name in ("four-clusters", "perplexity", "largest_logit", "torch_anomaly"):
        line = re.search(rf"^  {name} +\S.*", listed, re.MULTILINE)
        assert line
        assert "unavailable" not in line[0]
    said = inside(tree, "harness", "run", "--report")
    assert re.search(r"^4 passed in ", said, re.MULTILINE), said
    page = (tree / "out" / "site" / "steps.html").read_text()
    assert '<th scope="row">using</th><td>torch_anomaly</td>' in page


def test_the_examples_are_in_our_style(tree):
    ruff = pytest.importorskip("ruff", reason="comes with the extra 'lint'")
    files = [path for path in blocks(CONTRIBUTING, "file") if path.endswith(".py")]
    shutil.copy(ROOT / "pyproject.toml", tree)
    assert ruff
    inside(tree, "ruff", "check", "--no-cache", *files)
    inside(tree, "ruff", "format", "--no-cache", "--check", *files)


# The commands.


def sessions():
    tree = ast.parse(NOXFILE.read_text())
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any("session" in ast.unparse(d) for d in node.decorator_list)
    ]


def readme_commands():
    """The two commands of the first screen."""
    first_screen = README.partition("\n## ")[0]
    return [command.strip() for command in re.findall(r"```sh\n(.*?)```", first_screen, re.DOTALL)]


def test_the_first_screen_has_the_two_commands():
    assert readme_commands() == [
        f"python3 -m pip install nox && python3 -m nox -s {session}" for session in ("nightly", "tests")
    ]
    assert len(README.partition("\n## ")[0].splitlines()) <= 60


def test_ci_runs_the_test_command_last_and_lint():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == readme_commands()[1]
    assert "python3 -m nox -s lint" in lines
    assert "set -eu" in lines
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@BOTH
def test_every_session_that_is_named_exists(text):
    named = set(re.findall(r"nox -s (\w+)", text))
    assert named
    assert named <= set(sessions())


@BOTH
def test_every_harness_command_that_is_named_exists(text):
    named = set(re.findall(r"`harness (\w+)", text)) | set(re.findall(r"^harness (\w+)", text, re.MULTILINE))
    assert named <= {command.name for command in app.registered_commands}


@BOTH
def test_every_file_that_is_named_exists(text):
    links = re.findall(r"\]\(([^)#]+)\)", text)
    paths = re.findall(r"`((?:harness|reports|tests|cases|benchmarks)/[\w./]+)`|`(\w+\.(?:toml|txt))`", text)
    created = {"cases/first.yaml", *blocks(text, "file")}
    missing = [
        path
        for path in [*links, *(one or other for one, other in paths)]
        if path not in created and not path.startswith("http") and not (ROOT / path).exists()
    ]
    assert missing == []


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("HARNESS_FRESH_CLONE") != "1", reason="takes minutes; HARNESS_FRESH_CLONE=1 asks for it"
)
def test_both_commands_pass_in_a_fresh_clone(tmp_path):
    clone, bare = tmp_path / "clone", tmp_path / "bare"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    venv.create(bare, with_pip=True)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HARNESS", "COV"))
    }
    environment = {
        **kept,
        "PATH": f"{bare / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(bare),
    }
    for command in readme_commands():
        done = subprocess.run(
            ["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        left = subprocess.run(
            ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
        )
        assert left.stdout == ""
    assert (clone / "out" / "site" / "index.html").is_file()
