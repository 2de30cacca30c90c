"""`harness history`: what was recorded, newest last."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import DEFAULT_STORE, JsonFile, Store, speaker, write_json

if TYPE_CHECKING:
    from harness.history import HistoryLine
    from harness.store import Store as RunStore


def history(
    case: Annotated[str | None, typer.Argument(help="Only this case.")] = None,
    backend: Annotated[str | None, typer.Option(help="Only this backend.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many runs, the newest.")] = 20,
    store: Store = DEFAULT_STORE,
    json_file: JsonFile = None,
) -> int:
    """Show recorded runs: when, commit, status, and the figures that matter."""
    from harness.codec import runs_to_json  # noqa: PLC0415 - heavy
    from harness.history import history_lines  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    with open_store(store, create=False) as recorded:
        runs = recorded.runs(case=case, backend=backend, limit=limit)
        if not runs:
            _refuse_unknown(recorded, case, backend)
            say(f"no runs in {recorded.where}")
    for line in history_lines(runs):
        say(_words(line))
    write_json(json_file, runs_to_json(runs))
    return 0


def _refuse_unknown(recorded: "RunStore", case: str | None, backend: str | None) -> None:
    """Name the nearest case or backend that has runs, when those that were asked for have none.

    Raises:
        HarnessError: a case or a backend was asked for.
    """
    from harness.discover import suggest  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    known = recorded.runs()
    for what, name, names in (
        ("case", case, {run.case for run in known}),
        ("backend", backend, {run.backend for run in known}),
    ):
        if name is not None and name not in names:
            raise HarnessError(
                f"store {recorded.where}: no runs of {what} '{name}'{suggest(name, tuple(names))}"
            )
    if case or backend:
        raise HarnessError(f"store {recorded.where}: no runs of '{case}' on '{backend}'")


def _words(line: "HistoryLine") -> str:
    from harness.history import METRICS  # noqa: PLC0415 - heavy
    from harness.units import show  # noqa: PLC0415 - heavy

    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(line.when))
    commit = f"{(line.commit or '-')[:9]}{'+' if line.dirty else ''}"
    figures = "  ".join(f"{name} {show(value, METRICS[name].unit)}" for name, value in line.values.items())
    changed = f"  (not comparable with the run before: {line.changed})" if line.changed else ""
    tail = line.reason and f"  {line.reason}: {line.message}"
    who = f"{line.status:<5}  {line.case} [{line.backend}]"
    return f"{line.run[:11]}  {when}  {commit:<10}  {who}  {figures}{tail}{changed}"
