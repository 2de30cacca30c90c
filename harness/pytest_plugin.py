"""For pytest: case files as tests, and the fixture `training_health`.

Imports nothing heavy: nobody pays for this who has no case files and trains nothing.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.watching.health import Watch

    Health = Callable[..., AbstractContextManager[Watch]]

SUFFIXES = (".yaml", ".yml")
LARGEST_FILE = 2**20
"""Bytes; a larger file is no case."""
SCHEMA = re.compile(r"""^(["']?)schema\1\s*:\s*["']?\d""", re.MULTILINE)
EXPECTS = re.compile(r"""^(["']?)(expect|extends)\1\s*:""", re.MULTILINE)
CASES = pytest.StashKey[bool]()
SESSION = pytest.StashKey[str]()
CHOICES = {"auto": None, "true": True, "false": False}
ABOUT_CASES = (
    "whether case files of training-harness are tests: true, false, or auto: where a path is given, on the"
    " command line or in testpaths"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """One setting and one option."""
    parser.addini("harness_cases", ABOUT_CASES, type="string", default="auto")
    parser.getgroup("harness", "training-harness").addoption(
        "--harness-store", metavar="URL", help="record the runs of cases in this store; none by default"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Decide whether cases are collected, and begin a session in the store if there is one."""
    choice = str(config.getini("harness_cases")).strip().lower()
    if choice not in CHOICES:
        raise pytest.UsageError(f"harness_cases: expected true, false or auto, got '{choice}'")
    given = config.args_source is not config.ArgsSource.INVOCATION_DIR
    wanted = CHOICES[choice]
    settings = getattr(config, "workerinput", {})  # of xdist: what its master decided
    config.stash[CASES] = settings.get("harness_cases", given if wanted is None else wanted)
    config.stash[SESSION] = settings.get("harness_session", "")
    if config.getoption("harness_store") and not settings:
        from harness.pytest_cases import begin  # noqa: PLC0415 - only where something is recorded

        config.stash[SESSION] = begin(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist, which is given paths in any case, what was decided here."""
    node.workerinput["harness_cases"] = node.config.stash[CASES]
    node.workerinput["harness_session"] = node.config.stash[SESSION]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A case file is a collector; other YAML is left alone."""
    if file_path.suffix not in SUFFIXES or not parent.config.stash[CASES] or not _is_case(file_path):
        return None
    from harness.pytest_cases import CaseFile  # noqa: PLC0415 - only where there are cases

    return CaseFile.from_parent(parent, path=file_path)


def _is_case(path: Path) -> bool:
    """Whether a file has the keys that every case file has, without reading it as YAML."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return False
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return False
    return bool(SCHEMA.search(text) and EXPECTS.search(text))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The server that ran the cases ends, and so does the session in the store."""
    from sys import modules  # noqa: PLC0415 - whether any case was met

    if "harness.pytest_cases" in modules:
        modules["harness.pytest_cases"].finish(session.config)


@pytest.fixture(scope="session")
def training_health() -> "Health":
    """Observe the PyTorch training of a block; `harness.watching.training_health` says more."""
    from harness.watching import training_health as observe  # noqa: PLC0415 - only for whom it is

    return observe
