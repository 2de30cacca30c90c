"""The examples for cron, GitHub and GitLab: valid YAML, known keys, and every command line is one of ours."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from harness.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- ci: (\S+) -->\n```yaml\n(.*?)```\n", README, re.DOTALL))
GITHUB, GITLAB = ".github/workflows/nightly.yml", ".gitlab-ci.yml"
[CRON] = re.findall(r"<!-- cron -->\n```text\n(.*?)\n```", README)


def commands(node):
    """Every command line of a document: what stands under `run` or `script`."""
    if isinstance(node, list):
        return [found for each in node for found in commands(each)]
    if not isinstance(node, dict):
        return []
    own = [line for key in ("run", "script") for line in _lines(node.get(key, []))]
    return own + [found for each in node.values() for found in commands(each)]


def _lines(value):
    return value.splitlines() if isinstance(value, str) else value


def harness_lines():
    lines = [line for text in EXAMPLES.values() for line in commands(yaml.safe_load(text))] + [CRON]
    return [
        found
        for line in lines
        for found in re.findall(r"\bharness (?!&)[^|&>]+", line)
        if "/" not in found[:9]
    ]


def refused(line):
    """What our command line says of the arguments, without running anything; empty if it takes them."""
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app).commands[name]
    try:
        command.make_context(name, arguments)
    except typer.BadParameter.__mro__[1] as error:
        return error.format_message()
    return ""


def test_both_are_there():
    assert set(EXAMPLES) == {GITHUB, GITLAB}


def test_every_command_line_of_ours_parses():
    assert len(harness_lines()) == 3
    assert [refused(line) for line in harness_lines()] == ["", "", ""]
    assert all("--tag nightly" in line for line in harness_lines())


@pytest.mark.parametrize("line", ["harness run --tug nightly", "harness run --workers none"])
def test_a_wrong_one_would_be_seen(line):
    assert refused(line)


def test_every_line_is_words_of_a_shell_and_names_files_that_exist():
    for text in EXAMPLES.values():
        lines = commands(yaml.safe_load(text))
        assert lines
        for line in lines:
            assert shlex.split(line)
            for path in re.findall(r"-c (\S+)", line):
                assert (ROOT / path).is_file()


@pytest.mark.parametrize(("name", "schema"), [(GITHUB, "github-workflows"), (GITLAB, "gitlab-ci")])
def test_the_schema_of_each_service_takes_its_example(tmp_path, name, schema):
    pytest.importorskip("check_jsonschema", reason="comes with the extra 'tests'")

    def left_with(text):
        (tmp_path / "example.yml").write_text(text)
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
        return subprocess.run(
            [*command, str(tmp_path / "example.yml")], capture_output=True, text=True, check=False
        )

    good = left_with(EXAMPLES[name])
    assert good.returncode == 0, good.stdout
    wrong = EXAMPLES[name].replace("when: always", "when: perhaps").replace("runs-on:", "runs-at:")
    assert wrong != EXAMPLES[name]
    assert left_with(wrong).returncode == 1


def test_github():
    found = yaml.safe_load(EXAMPLES[GITHUB])
    assert set(found) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as true
    [cron] = [each["cron"] for each in found[True]["schedule"]]
    assert len(cron.split()) == 5
    [job] = found["jobs"].values()
    assert set(job) == {"runs-on", "timeout-minutes", "steps"}
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert set(step) <= {"uses", "run", "with", "if"}
        assert re.fullmatch(r"actions/[\w/-]+@v\d+", step.get("uses", "actions/x@v1"))


def test_gitlab():
    [job] = yaml.safe_load(EXAMPLES[GITLAB]).values()
    assert set(job) == {"image", "rules", "cache", "script", "artifacts"}
    [run] = [line for line in job["script"] if line.startswith("harness")]
    assert f"--junit {job['artifacts']['reports']['junit']}" in run
    assert job["artifacts"]["when"] == "always"


def test_cron():
    assert re.match(r"\d+ \d+ \* \* \*  cd ", CRON)
