"""`harness history`: what was recorded, newest last."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import DEFAULT_STORE, JsonFile, Store, counted, speaker, write_json

if TYPE_CHECKING:
    from harness.changes import Change
    from harness.history_lines import HistoryLine
    from harness.model import Run
    from harness.store import Store as RunStore


def history(
    case: Annotated[str | None, typer.Argument(help="Only this case.")] = None,
    backend: Annotated[str | None, typer.Option(help="Only this backend.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many runs, the newest.")] = 20,
    store: Store = DEFAULT_STORE,
    json_file: JsonFile = None,
) -> int:
    """Show recorded runs with the figures that matter, and since when a figure is another."""
    from harness.changes import changes  # noqa: PLC0415 - heavy
    from harness.clocks import well_dated  # noqa: PLC0415 - heavy
    from harness.codec import runs_to_json  # noqa: PLC0415 - heavy
    from harness.history_lines import history_lines  # noqa: PLC0415 - heavy
    from harness.plain import strict  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    with open_store(store, create=False) as recorded:
        every = recorded.runs(case=case, backend=backend)
        runs = every[-limit:]
        if not runs:
            _refuse_unknown(recorded, case, backend)
            say(f"no runs in {recorded.where}")
    for line in history_lines(runs):
        say(_words(line))
    for note in (*_clock(every), *_namesakes(every), *_few(every)):
        say(note)
    found = changes(well_dated(every, time.time()))
    for change in found[-limit:]:
        say(_change_words(change))
    write_json(
        json_file,
        {
            **runs_to_json(runs),
            "changes": [strict({**asdict(change), "share": change.share}) for change in found],
        },
    )
    return 0


def _clock(runs: "Sequence[Run]") -> list[str]:
    """A note where a clock was wrong: such runs are listed, and no change is dated by them."""
    from harness.clocks import misdated  # noqa: PLC0415 - heavy

    found = misdated(runs, time.time())
    if not found:
        return []
    first = f"{found[0].id[:11]} of {_when(found[0].started)}"
    said = "dated after now or before the commit: a clock was wrong; what changed is told without them"
    return [f"note: {counted(len(found), 'run')} (first {first}) {said}"]


def _few(runs: "Sequence[Run]") -> list[str]:
    """A note where no series is long enough yet: silence on times would be taken for good news."""
    from harness.change_points import FIRST, SHORTEST  # noqa: PLC0415 - heavy
    from harness.history import series  # noqa: PLC0415 - heavy

    longest = max((len(one.points) for one in series(runs, "step_time")), default=0)
    said = f"changes of time and memory are told from {FIRST + SHORTEST} comparable runs on"
    return [f"note: {said}; here are {longest} at most"] if SHORTEST <= longest < FIRST + SHORTEST else []


def _namesakes(runs: "Sequence[Run]") -> list[str]:
    """A note for each name that several machines share: what they measured is in one series."""
    from harness.clocks import namesakes  # noqa: PLC0415 - heavy

    said = "is the name of several machines, whose starts alternate: give each a host name of its own"
    return [f"note: host {host[:8]} {said}" for host in namesakes(runs)]


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

    when = _when(line.when)
    commit = f"{(line.commit or '-')[:9]}{'+' if line.dirty else ''}"
    figures = "  ".join(f"{name} {show(value, METRICS[name].unit)}" for name, value in line.values.items())
    changed = f"  (not comparable with the run before: {line.changed})" if line.changed else ""
    tail = line.reason and f"  {line.reason}: {line.message}"
    who = f"{line.status:<5}  {line.case} [{line.backend}]"
    return f"{line.run[:11]}  {when}  {commit:<10}  {who}  {figures}{tail}{changed}"


def _change_words(change: "Change") -> str:
    from harness.units import show  # noqa: PLC0415 - heavy

    levels = f"{show(change.before, change.unit)} to {show(change.after, change.unit)}"
    sign = "+" if change.share > 0 else ""
    what = f"{change.metric} {levels} ({sign}{show(change.share, '%')})"
    since = f"since {(change.commit or '-')[:9]}, run {change.run[:11]} of {_when(change.when)}"
    why = f"environment: {change.environment}" if change.environment else "code"
    gone = "lost" if change.kind == "improvement" else "healed"
    state = f"{gone} in run {change.healed[:11]}" if change.healed else "stands"
    return f"{change.kind}  {change.case} [{change.backend}]  {what}  {since}  {why}  {state}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
