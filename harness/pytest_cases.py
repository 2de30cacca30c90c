"""Case files as tests of pytest: a collector a file, an item a case and backend, each run in isolation."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cases import read_cases
from harness.cli.run import lines_of
from harness.documents import Mistake
from harness.environment import checkout, fingerprint
from harness.model import HarnessError, Run, Status
from harness.pipeline import judged, new_id, plan_tasks
from harness.pytest_plugin import SESSION
from harness.runner import Runner, Task
from harness.sessions import Session
from harness.store import open_store

FAULT = "fault"
MUST_FAIL = "a case with the tag 'fault' must fail on the first of its backends"
"""The others may stand there to show that the fault is the first one's own."""
MEANT_FOR_PYTEST = (
    "filterwarnings", "parametrize", "skip", "skipif", "tryfirst", "trylast", "usefixtures", "xfail",
)  # fmt: skip
"""Marks that do something of their own: a tag of that name is a keyword only."""
MARK = re.compile(r"[A-Za-z0-9][\w.-]*")
RUNNER = pytest.StashKey[Runner]()
ENVIRONMENT = pytest.StashKey[Mapping[str, Any]]()


class Unhealthy(pytest.fail.Exception):  # type: ignore[misc,name-defined]  # made by a decorator
    """A training failed its checks."""

    __module__ = "builtins"  # so that summaries show the name alone


class Unjudged(pytest.fail.Exception):  # type: ignore[misc,name-defined]  # as above
    """The suite, the machine or a backend broke: nothing is said about the training."""

    __module__ = "builtins"


class CaseFile(pytest.File):
    """One case file."""

    def collect(self) -> "Iterator[CaseItem]":
        """An item for each case and backend; none of an abstract one.

        Raises:
            CollectError: the file is wrong; its text is a line for each mistake.
        """
        try:
            loaded = read_cases([self.path])
        except HarnessError:
            return  # the file is there, and without a mistake: it is abstract
        if loaded.mistakes:
            raise self.CollectError("\n".join(map(self._said, loaded.mistakes)))
        for task in plan_tasks(loaded.cases):
            name = f"{task.case.name}[{task.backend}]"
            yield CaseItem.from_parent(self, name=name, task=task)

    def _said(self, mistake: Mistake) -> str:
        """The mistake with its file as seen from where pytest was started."""
        here = self.config.invocation_params.dir
        path = Path(os.path.relpath(mistake.place.path, here))
        return str(replace(mistake, place=replace(mistake.place, path=path)))


class CaseItem(pytest.Item):
    """One case on one backend: the training is its setup, the judgement the test."""

    def __init__(self, *, task: Task, **given: Any) -> None:
        super().__init__(**given)
        self.task = task
        self.judged: Run | None = None
        for tag in task.case.tags:
            self._mark(tag)
        if FAULT in task.case.tags:
            first = task.backend == task.case.backends[0]
            self.add_marker(pytest.mark.xfail(raises=Unhealthy, strict=first, reason=MUST_FAIL))

    def _mark(self, tag: str) -> None:
        self.extra_keyword_matches.add(tag)
        if tag in MEANT_FOR_PYTEST or not MARK.fullmatch(tag):
            return
        known = [re.split("[:(]", line)[0].strip() for line in self.config.getini("markers")]
        if tag not in known:
            self.config.addinivalue_line("markers", f"{tag}: a tag of case files")
        self.add_marker(tag)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it is: the file, and its name there."""
        return self.path, 0, self.name

    def setup(self) -> None:
        """Run the case.

        Raises:
            Skipped: its backend is not installed, or cannot compute it.
            Unjudged: the suite, the machine or the backend broke.
        """
        try:
            run = self.judged = _recorded(self)
        except HarnessError as error:
            raise Unjudged(f"error  {self.name} {error}", pytrace=False) from error
        if run.status is Status.SKIP:
            raise pytest.skip.Exception(f"{run.reason}: {run.message}", _use_item_location=True)
        if run.status is Status.ERROR:
            if run.facts.detail:
                self.add_report_section("setup", "log", run.facts.detail)
            raise Unjudged("\n".join(lines_of(run)), pytrace=False)

    def runtest(self) -> None:
        """What came of it.

        Raises:
            Unhealthy: the training failed its checks.
        """
        if self.judged is not None and self.judged.status is Status.FAIL:
            raise Unhealthy("\n".join(lines_of(self.judged)), pytrace=False)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The lines of the terminal; for summaries the first one, without the name that they show already."""
        shown = super().repr_failure(excinfo, style)
        crash = getattr(shown, "reprcrash", None)
        if crash is not None and self.judged is not None and isinstance(excinfo.value, Unhealthy | Unjudged):
            name = f" {self.judged.case} [{self.judged.backend}]"
            crash.message = " ".join(str(excinfo.value).partition("\n")[0].replace(name, "", 1).split())
        return shown


def _recorded(item: CaseItem) -> Run:
    """Run the item's case, and add it to the store if there is one."""
    config, session = item.config, item.config.stash[SESSION]
    finished = _runner(config).ask(item.task, likely=[each.task for each in _cases(item.session)])
    if not session:
        return judged(finished, "", {})
    if ENVIRONMENT not in config.stash:
        config.stash[ENVIRONMENT] = fingerprint(config.rootpath)
    run = judged(finished, session, config.stash[ENVIRONMENT])
    with open_store(config.getoption("harness_store")) as store:
        store.add(run)
    return run


def _cases(session: pytest.Session) -> Iterator[CaseItem]:
    return (item for item in session.items if isinstance(item, CaseItem))


def _runner(config: pytest.Config) -> Runner:
    """The runner of this process: one case at a time, with its share of the memory."""
    if RUNNER not in config.stash:
        workers = getattr(config, "workerinput", {}).get("workercount", 1)
        cache = getattr(config, "cache", None)
        folder = Path(cache.mkdir("harness")) if cache else None
        config.stash[RUNNER] = Runner(workers=workers, cache=folder)
    return config.stash[RUNNER]


def begin(config: pytest.Config) -> str:
    """Begin a session in the store.

    Raises:
        UsageError: there can be no such store.
    """
    session = Session(id=new_id(), started=time.time(), checkout=checkout(config.rootpath))
    try:
        with open_store(config.getoption("harness_store")) as store:
            store.begin(session)
    except HarnessError as error:
        raise pytest.UsageError(f"--harness-store: {error}") from error
    return session.id


def finish(config: pytest.Config) -> None:
    """End the server that ran the cases, and the session that was begun here."""
    if RUNNER in config.stash:
        config.stash[RUNNER].close()
    if config.stash.get(SESSION, "") and not hasattr(config, "workerinput"):
        with suppress(HarnessError), open_store(config.getoption("harness_store")) as store:
            store.finish(config.stash[SESSION])
