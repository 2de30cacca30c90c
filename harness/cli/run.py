"""`harness run`: run cases, judge, record, and show each result as it comes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._handover import Handover, JUnitFile, MarkdownFile
from harness.cli._options import (
    DEFAULT_SITE,
    DEFAULT_STORE,
    JsonFile,
    Paths,
    Store,
    counted,
    paths_or_default,
    speaker,
    write_json,
)
from harness.cli._screen import Screen

if TYPE_CHECKING:
    from harness.model import Run
    from harness.pipeline import Night
    from harness.runner import Task
    from harness.spec import Case

Names = list[str] | None
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the last interrupted run of the same plan.")
]
Sabotage = Annotated[
    bool, typer.Option("--sabotage", help="Afterwards break the cases by the faults that they `catches`.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would run.")]
Report = Annotated[
    bool, typer.Option("--report", help="Render out/site afterwards, whatever came of the run.")
]


def run(  # noqa: PLR0913, PLR0917 - options of a command
    paths: Paths = None,
    backend: Annotated[Names, typer.Option(help="Run on this backend only; may be repeated.")] = None,
    tag: Annotated[Names, typer.Option(help="Run cases with this tag only; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    resume: Resume = False,
    sabotage: Sabotage = False,
    dry_run: DryRun = False,
    report: Report = False,
    store: Store = DEFAULT_STORE,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    junit: JUnitFile = None,
) -> int:
    """Run cases on their backends, judge and record each."""
    from harness.pipeline import night, plan_tasks  # noqa: PLC0415 - heavy, and only this command needs it

    say = speaker(json_file, markdown, junit)
    handover = Handover(json_file=json_file, markdown=markdown, junit=junit).cleared(only_if=not dry_run)
    cases = select(paths_or_default(paths), tag or [], backend or [])
    plan = plan_tasks(cases, backend or [])
    if dry_run:
        return _show_plan(plan, json_file)
    began = time.monotonic()
    with Screen(len(plan), workers, say) as screen:
        done = night(
            cases,
            store,
            backends=backend or [],
            workers=workers,
            resume=resume,
            on_run=lambda ended, number, total: screen.advance(number, total, lines_of(ended)),
        )
    say("\n".join([_ended(done, time.monotonic() - began), *_clock(store)]))
    handover.write(done, store)
    code = done.exit_code
    if sabotage:
        code = _sabotaged(cases, backend or [], store, workers, say, done.session) or code
    if report:
        say(f"report: {_render(store)}")
    return code


def _ended(done: "Night", seconds: float) -> str:
    return f"{_summary(done.runs)} in {seconds:.3g} s; recorded in {done.store}"


def _clock(store: str) -> list[str]:
    """A note where the store holds a night that has not begun yet: then this one is not the newest."""
    from harness.clocks import SLACK  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    with open_store(store, create=False) as recorded:
        newest = max(session.started for session in recorded.sessions())
    if newest <= time.time() + SLACK:
        return []
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(newest))
    return [
        f"note: a night is recorded of {when}, after now: a clock was wrong; that one counts as the newest"
    ]


def select(paths: list[Path], tags: Sequence[str], backends: Sequence[str]) -> "list[Case]":
    """The cases under some paths that carry any of the tags and name any of the backends.

    Raises:
        HarnessError: a backend or a tag is unknown, or nothing is left.
    """
    from harness.cases import load_cases  # noqa: PLC0415 - heavy
    from harness.discover import plugins  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    _refuse_unknown("--backend: unknown name", backends, tuple(plugins("backends")))
    cases = load_cases(paths).cases
    _refuse_unknown("--tag: no case carries", tags, tuple({tag for case in cases for tag in case.tags}))
    chosen = [case for case in cases if not tags or set(tags) & set(case.tags)]
    chosen = [case for case in chosen if not backends or set(backends) & set(case.backends)]
    if not chosen:
        raise HarnessError(
            f"--backend: none of the chosen cases runs on '{', '.join(backends)}'; see `harness list`"
        )
    return chosen


def _refuse_unknown(what: str, names: Sequence[str], known: tuple[str, ...]) -> None:
    from harness.discover import suggest  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    for name in names:
        if name not in known:
            raise HarnessError(f"{what} '{name}'{suggest(name, known)}")


def lines_of(run: "Run") -> list[str]:
    """A run for the terminal: a line a failing check, or one in all; its diagnoses and its quarantine."""
    from harness.quarantine import of  # noqa: PLC0415 - heavy

    note = of(run)
    return [*_outcome(run), *([f"       quarantine: {note.message}"] if note else [])]


def _outcome(run: "Run") -> list[str]:
    name = f"{run.case} [{run.backend}]"
    if run.status == "pass":
        return [f"pass   {name} {run.seconds:.3g} s"]
    judged = [verdict for verdict in run.verdicts if verdict.check != "quarantine"]
    bad = [verdict for verdict in judged if verdict.status in ("fail", "error")]
    if run.status == "skip" or not bad:
        return [f"{run.status:<6} {name} {run.reason}: {run.message}"]
    lines = [f"{verdict.status:<6} {name} {verdict.check}: {verdict.message}" for verdict in bad]
    return lines + [f"       {diagnosis.cause}. {diagnosis.remedy}" for diagnosis in run.diagnoses]


def _summary(runs: "Sequence[Run]") -> str:
    from harness.news import counts  # noqa: PLC0415 - heavy

    return counts(runs)


def _sabotaged(  # noqa: PLR0913, PLR0917 - what the two commands share
    cases: "Sequence[Case]",
    backends: Sequence[str],
    store: str,
    workers: int,
    say: Callable[[str], None],
    session: str,
) -> int:
    from harness.cli.sabotage import exit_code, filled  # noqa: PLC0415 - heavy
    from harness.sabotage import promised  # noqa: PLC0415 - heavy

    if not any(map(promised, cases)):
        return 0
    return exit_code(
        *filled(cases, promised, store=store, backends=backends, workers=workers, say=say, session=session)
    )


def _render(store: str) -> Path:
    from harness.cli.report import render_site  # noqa: PLC0415 - heavy

    return render_site(store, DEFAULT_SITE)


def _show_plan(plan: "Sequence[Task]", json_file: Path | None) -> int:
    from harness.runner import impossible  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    rows = [(task.case.name, task.backend, (impossible(task) or ("",))[0]) for task in plan]
    for case, backend, why in rows:
        say(f"{case} [{backend}]{why and f' would be skipped: {why}'}")
    say(f"{counted(len(rows), 'run')}; nothing was run")
    write_json(
        json_file, {"schema": 1, "plan": [{"case": c, "backend": b, "impossible": w} for c, b, w in rows]}
    )
    return 0
