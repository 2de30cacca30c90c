"""Habits of the project that no other tool watches."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import harness

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HOSTS = {
    "keepachangelog.com", "semver.org", "www.apache.org", "arxiv.org", "doi.org", "github.com",
    "www.w3.org", "json-schema.org",
}  # fmt: skip


def files():
    """Everything that is or would be committed, as text; what is not text is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("needs a git checkout")
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in data:
            found[name] = data.decode()
    return found


def lines_with(pattern, leaving_out):
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in files().items()
        if name not in leaving_out
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def pins():
    return dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )


def test_no_path_of_one_machine():
    # A leading word character or a dot belongs to a relative path or an address.
    assert (
        lines_with(
            r"(?<![\w.:/\\-])/(root|work|home|opt|mnt|srv|Users)/", {"LICENSE", "tests/test_project.py"}
        )
        == []
    )


def test_no_address_but_those_that_everybody_knows():
    found = {
        (name, host)
        for name, text in files().items()
        for host in re.findall(r"\bhttps?://([\w.-]+)", text)
        if host not in HOSTS and not name.startswith("tests/")
    }
    assert found == set()


def test_text_files_are_tidy():
    untidy = [
        name
        for name, text in files().items()
        if not name.startswith("cases/data/")
        and text
        and (not text.endswith("\n") or text.endswith("\n\n") or re.search(r"[ \t\r]$", text, re.MULTILINE))
    ]
    assert untidy == []


def test_what_a_run_writes_is_ignored():
    wrote = ["out/history.sqlite", "out/site/index.html", ".nox/tests/x", ".coverage", ".coverage.host.1"]
    wrote += [
        "harness/__pycache__/x.pyc",
        ".mypy_cache/x",
        ".ruff_cache/x",
        ".pytest_cache/x",
        ".hypothesis/x",
    ]
    done = subprocess.run(
        ["git", "check-ignore", *wrote], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 128:
        pytest.skip("needs a git checkout")
    assert done.stdout.split() == wrote


def sessions():
    """The one-line docstring of every session of the noxfile, by name."""
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    return {
        node.name: ast.get_docstring(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any("session" in ast.unparse(each) for each in node.decorator_list)
    }


def test_every_session_explains_itself_in_a_line():
    assert {"nightly", "smoke", "tests", "lint", "bench", "report"} <= set(sessions())
    for name, about in sessions().items():
        assert about, name
        assert "\n" not in about, name
        assert about.endswith("."), name


def test_nox_lists_every_session_with_its_line():
    pytest.importorskip("nox")
    done = subprocess.run(
        [sys.executable, "-m", "nox", "-l"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name, about in sessions().items():
        assert re.search(rf"^[*-] {name} -> {re.escape(about)}$", done.stdout, re.MULTILINE)
    assert re.findall(r"^\* (\w+)", done.stdout, re.MULTILINE) == ["nightly"]


def test_asv_measures_where_all_that_benchmarks_import_is_installed():
    """It looks for benchmarks, all of them, in the environment of a commit; two of them need asv itself there."""
    [command] = json.loads((ROOT / "asv.conf.json").read_text())["install_command"]
    assert command.endswith("{build_dir}[bench]")
    known = {"asv", "benchmarks", "harness", "numpy", "reports", "threadpoolctl"} | set(
        sys.stdlib_module_names
    )
    for path in (ROOT / "benchmarks").glob("*.py"):
        nodes = [
            node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        named = [getattr(node, "module", None) or node.names[0].name for node in nodes]
        assert {name.partition(".")[0] for name in named} <= known | {"report"}, path


def test_versions_agree():
    assert PROJECT["version"] == harness.__version__
    assert f"will be {harness.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    wanted = {
        need for repo in hooks for hook in repo["hooks"] for need in hook.get("additional_dependencies", ())
    }
    assert wanted == {f"ruff=={pins()['ruff']}"}


def test_our_torch_is_one_that_the_package_accepts():
    [least] = [
        re.fullmatch(r"torch>=([\d.]+)", each)[1] for each in PROJECT["dependencies"] if "torch" in each
    ]
    assert least == "2.9"
    assert [int(part) for part in pins()["torch"].split(".")] >= [int(part) for part in least.split(".")]


def test_the_licence_is_the_one_that_is_declared():
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_packages_say_that_they_are_typed():
    assert "Typing :: Typed" in PROJECT["classifiers"]
    for package in ("harness", "reports"):
        assert (ROOT / package / "py.typed").is_file()


def test_ruff_has_everything_on_and_a_reason_for_what_is_off():
    text = (ROOT / "pyproject.toml").read_text()
    rules = tomllib.loads(text)["tool"]["ruff"]["lint"]
    assert rules["select"] == ["ALL"]
    for rule in [*rules["ignore"], *rules["per-file-ignores"]["tests/**"]]:
        assert re.search(rf'"{rule}", +# \S', text), f"{rule} is off without a reason"


def test_warnings_are_errors():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["filterwarnings"][0] == "error"
