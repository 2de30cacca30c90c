"""Our report beside `asv publish` on the same data, in one run: 18,000 results, and 200,000."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import median

from asv.commands.publish import Publish
from asv.config import Config

from harness.cli import main
from harness.model import Facts, Measurement, Outcome, Run, Status
from harness.sessions import Session
from harness.store import Store, open_store
from reports import render

COMMITS, MANY_COMMITS, CELLS, DAY = 300, 3334, 15, 86400.0
METRICS = ("step_time", "startup_time", "peak_memory.train", "held_out_loss")
UNITS = {"step_time": "s", "startup_time": "s", "peak_memory.train": "B", "held_out_loss": ""}
SAMPLES = 20
WORKER = {"device": "cpu"}


def git(folder: Path, *arguments: str, text: str = "") -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *who, *arguments],  # noqa: S607 - the git of whoever measures
        cwd=folder, env=clean, input=text, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def repository(folder: Path, count: int) -> list[str]:
    """So many empty commits, a day apart, through git's own import."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commits = (
        f"commit refs/heads/main\ncommitter a <a@b> {1_700_000_000 + int(number * DAY)} +0000\ndata 1\nx\n"
        for number in range(count)
    )
    git(folder, "fast-import", "--quiet", text="\n".join(commits))
    return git(folder, "rev-list", "--reverse", "main").split()


def machine(commit: str) -> dict[str, object]:
    """What all runs of a night share."""
    return {"commit": commit, "dirty": False, "cpu": "CPU", "cores": 2, "torch": "2.9.0"}


def a_run(number: int, cell: int, environment: dict[str, object]) -> Run:
    """Four results; a little noise that is the same every time."""
    level = 1 + 0.02 * ((number * 7919 + cell * 104729) % 101) / 101
    found = {
        name: Measurement(
            name=name, value=level, unit=UNITS[name],
            samples=tuple(level + index / 1e3 for index in range(SAMPLES)) if name == "step_time" else (),
        )
        for name in METRICS
    }  # fmt: skip
    return Run(
        id=f"{number:04}{cell:02}",
        session=f"{number:04}",
        case=f"case-{cell // 3}",
        backend=f"backend-{cell % 3}",
        revision=1,
        case_digest="d",
        started=1_700_000_000 + number * DAY + cell,
        seconds=1.0,
        status=Status.PASS,
        reason="",
        message="",
        environment=environment,
        facts=Facts(outcome=Outcome.COMPLETED, measurements=found, environment=WORKER),
    )


def nights(commits: list[str]) -> Iterator[tuple[Session, list[Run]]]:
    for number, commit in enumerate(commits):
        session = Session(id=f"{number:04}", started=1_700_000_000 + number * DAY, finished=1.0)
        environment = machine(commit)
        yield session, [a_run(number, cell, environment) for cell in range(CELLS)]


def seconds_of(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def beside(turns: int, **actions: Callable[[int], object]) -> dict[str, float]:
    """Median seconds of actions that take turns, each given its turn's number: all feel the same load."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(turns):
        for name, action in actions.items():
            seconds[name].append(seconds_of(partial(action, turn)))
    return {name: median(own) for name, own in seconds.items()}


@cache
def measured(count: int, turns: int) -> dict[str, float]:
    """The figures of a history of so many commits, once in a process; imports and templates are there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commits = repository(folder / "code", count)
        every = list(nights(commits))
        with open_store(folder / "empty.sqlite") as store:
            _ingest(store, every[:1])
            render(store, folder / "warm")
        with open_store(folder / "history.sqlite") as store:
            results = count * CELLS * len(METRICS)
            figures = {"ingestion": results / seconds_of(lambda: _ingest(store, every))}
            figures["bulk"] = results / seconds_of(lambda: _ingest_at_once(folder, every))
            _export(folder)
            figures |= beside(
                turns,
                report=lambda turn: render(store, folder / f"site-{turn}"),
                publish=lambda _: _publish(folder),
            )
            render(store, folder / "site")
            _one_more(store, commits[-1])
            figures["one_more"] = seconds_of(lambda: render(store, folder / "site"))
            figures["nothing_new"] = seconds_of(lambda: render(store, folder / "site"))
        figures["export"] = seconds_of(lambda: _export(folder))
        figures |= beside(
            turns,
            command=lambda turn: _by_command(folder, turn),
            publish_command=lambda _: _publish_by_command(folder),
        )
    return figures


def _ingest(store: Store, every: list[tuple[Session, list[Run]]]) -> None:
    for session, runs in every:
        store.begin(session)
        store.add_many(runs)


def _ingest_at_once(folder: Path, every: list[tuple[Session, list[Run]]]) -> None:
    with open_store(folder / "bulk.sqlite") as store:
        store.begin(*(session for session, _ in every))
        store.add_many(run for _, runs in every for run in runs)


def _one_more(store: Store, commit: str) -> None:
    store.begin(Session(id="9999", started=2e9, finished=1.0))
    run = a_run(COMMITS, 0, machine(commit))
    store.add(replace(run, id="9999", session="9999", started=2e9))


def _export(folder: Path) -> None:
    arguments = ["--store", str(folder / "history.sqlite"), "--repo", str(folder / "code")]
    assert main(["export", "asv", *arguments, "--out", str(folder / "asv")]) == 0


def _publish(folder: Path) -> None:
    with chdir(folder / "asv"):
        Publish.run(Config.load("asv.conf.json"))


def _by_command(folder: Path, turn: int) -> None:
    where = ("--store", str(folder / "history.sqlite"), "--out", str(folder / f"other-{turn}"))
    subprocess.run([sys.executable, "-m", "harness", "report", *where], check=True, capture_output=True)


def _publish_by_command(folder: Path) -> None:
    conf = str(folder / "asv" / "asv.conf.json")
    command = [sys.executable, "-m", "asv", "publish", "--config", conf]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HOME": str(folder)})


class Report:
    """18,000 results: 300 commits x 60 series.

    Asked: a ratio of 0.25, 0.2 s for one more run, 50,000 results/s. The ratio of commands contains what both
    import first.
    """

    timeout = 1800

    def setup_cache(self) -> dict[str, float]:
        return measured(COMMITS, turns=3)

    def track_ratio_to_asv_publish(self, figures: dict[str, float]) -> float:
        return figures["report"] / figures["publish"]

    def track_ratio_of_commands(self, figures: dict[str, float]) -> float:
        return figures["command"] / figures["publish_command"]

    def track_report(self, figures: dict[str, float]) -> float:
        return figures["report"]

    def track_asv_publish(self, figures: dict[str, float]) -> float:
        return figures["publish"]

    def track_one_more_run(self, figures: dict[str, float]) -> float:
        return figures["one_more"]

    def track_nothing_new(self, figures: dict[str, float]) -> float:
        return figures["nothing_new"]

    def track_export(self, figures: dict[str, float]) -> float:
        return figures["export"]

    def track_seconds_per_result_recorded(self, figures: dict[str, float]) -> float:
        """A night at a time, each of them safe on the disk before the next."""
        return 1 / figures["ingestion"]

    def track_seconds_per_result_imported(self, figures: dict[str, float]) -> float:
        """All nights in one transaction."""
        return 1 / figures["bulk"]

    for _each in (track_ratio_to_asv_publish, track_ratio_of_commands):
        _each.unit = "ratio"  # type: ignore[attr-defined]
    for _each in (track_report, track_asv_publish, track_one_more_run, track_nothing_new, track_export):
        _each.unit = "seconds"  # type: ignore[attr-defined]
    track_seconds_per_result_recorded.unit = "seconds"  # type: ignore[attr-defined]
    track_seconds_per_result_imported.unit = "seconds"  # type: ignore[attr-defined]


class LongReport:
    """200,000 results: 3,334 commits x 60 series. Asked: a ratio of 0.25."""

    timeout = 3600

    def setup_cache(self) -> dict[str, float]:
        return measured(MANY_COMMITS, turns=1)

    def track_ratio_to_asv_publish(self, figures: dict[str, float]) -> float:
        return figures["report"] / figures["publish"]

    def track_report(self, figures: dict[str, float]) -> float:
        return figures["report"]

    def track_one_more_run(self, figures: dict[str, float]) -> float:
        return figures["one_more"]

    track_ratio_to_asv_publish.unit = "ratio"  # type: ignore[attr-defined]
    track_report.unit = track_one_more_run.unit = "seconds"  # type: ignore[attr-defined]
