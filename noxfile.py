"""Every way to run this project: `nox -l` explains each session in a line."""

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["nightly"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
CODE = ("harness", "reports", "benchmarks", "tests", "noxfile.py")
COVERAGE_FLOOR = 88
"""Percent, branches included; what runs in processes of its own is not counted."""


def install(session: nox.Session, *extras: str) -> None:
    """Install the package from this checkout, editable, with our own pins."""
    wanted = f".[{','.join(extras)}]" if extras else "."
    session.install("--constraint", str(ROOT / "constraints.txt"), "--editable", wanted)


@nox.session
def nightly(session: nox.Session) -> None:
    """Run every nightly case, judge, record, sabotage, and render out/site/index.html: the main job."""
    install(session, "transformers")
    what = ("cases", "--tag", "nightly", "--workers", "2", "--sabotage", "--report")
    session.run("harness", "run", *what, *session.posargs)


@nox.session
def smoke(session: nox.Session) -> None:
    """Run only the cases that take a second or two."""
    install(session)
    session.run("harness", "run", "cases", "--tag", "smoke", "--workers", "2", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Render out/site/index.html again from what is recorded."""
    install(session)
    session.run("harness", "report", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite with its coverage gate; arguments after -- go to pytest, without the gate."""
    install(session, "tests", "jax", "transformers")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    gate = ("--cov", "--cov-report=term", f"--cov-fail-under={COVERAGE_FLOOR}")
    session.run("pytest", "-n", "2", *gate, env={"COVERAGE_FILE": str(ROOT / ".coverage")})


@nox.session
def sanitizers(session: nox.Session) -> None:
    """Run our engine in C under the address, undefined-behaviour and thread sanitizers."""
    install(session, "tests")
    what = ("tests/test_native_cases.py", "-k", "sanitizer", *session.posargs)
    session.run("pytest", *what, env={"HARNESS_SANITIZERS": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and the shipped case files."""
    install(session, "lint", "tests", "bench")
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    session.run("mypy")
    session.run("harness", "lint", "cases")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the suite's own promises with asv, in this environment, without recording."""
    how = session.posargs or ["--quick"]
    run_asv(session, "run", "--python=same", "--show-stderr", *how)


@nox.session
def asv(session: nox.Session) -> None:
    """Run any command of asv on the benchmarks, such as `nox -s asv -- continuous main HEAD`."""
    run_asv(session, *(session.posargs or ["--help"]))


def run_asv(session: nox.Session, *arguments: str) -> None:
    """Run asv; what it notes about this machine lies in out/."""
    install(session, "bench")
    home = ROOT / "out" / "asv" / "home"
    home.mkdir(parents=True, exist_ok=True)
    session.run("asv", "machine", "--yes", env={"HOME": str(home)})
    session.run("asv", *arguments, env={"HOME": str(home)})


@nox.session(venv_backend="none")
def clean(session: nox.Session) -> None:
    """Remove out/ with its history and site."""
    shutil.rmtree(ROOT / "out", ignore_errors=True)
    session.log("out/ is gone")
