"""`harness replay`: a recorded run once more, and what is not as it was."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import DEFAULT_STORE, JsonFile, Store, speaker, write_json
from harness.cli.diverge import run_named

if TYPE_CHECKING:
    from harness.replay import Replay

Name = Annotated[str, typer.Argument(help="The beginning of a run's id, or CASE:BACKEND for the newest.")]
Which = Annotated[str, typer.Argument(help="As in `harness diverge`, or a file that `harness capsule` made.")]
SUFFIX = ".capsule"


def replay(run: Which, store: Store = DEFAULT_STORE, json_file: JsonFile = None) -> int:
    """Run a recorded run again with the code that is here; exit 1 unless it gives the same bits."""
    say = speaker(json_file)
    found = _packed(Path(run)) if run.endswith(SUFFIX) else _recorded(run, store)
    for line in _words(found):
        say(line)
    write_json(json_file, _as_json(found))
    return _exit_code(found)


def _recorded(name: str, store: str) -> "Replay":
    from harness.replay import case_of, replay  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    with open_store(store, create=False) as recorded:
        before = run_named(recorded, name)
        case = case_of(before, recorded.case_file(before.case, before.case_digest))
    return replay(before, case)


def _packed(path: Path) -> "Replay":
    from harness.capsule import unpacked  # noqa: PLC0415 - heavy
    from harness.replay import case_of, replay  # noqa: PLC0415 - heavy

    with unpacked(path) as found:
        return replay(found.run, case_of(found.run, found.kept))


def _words(found: "Replay") -> list[str]:
    run = found.recorded
    lines = [f"replayed  {run.case} [{run.backend}] {run.id}: {_verdict(found)}"]
    broke = found.run.facts.outcome != "completed"
    lines += [f"       now: {found.run.facts.outcome}: {found.run.facts.message}"] if broke else []
    lines += [f"       they part at {found.parting}"] if found.parting else []
    return lines + [f"       {each} (then and now)" for each in found.differences]


def _verdict(found: "Replay") -> str:
    if found.same:
        return "the same bits" if found.run.facts.trace is not None else "the same end, with no step recorded"
    return "not the same bits" if found.comparable else "nothing to compare"


def _exit_code(found: "Replay") -> int:
    """Of a program that ended well then and does not now, nothing is said: something here broke it."""
    if found.same:
        return 0
    return 1 if found.comparable else 3


def _as_json(found: "Replay") -> object:
    from harness.codec import run_to_json  # noqa: PLC0415 - rarely

    return {
        "schema": 1,
        "same": found.same,
        "differences": list(found.differences),
        "parting": found.parting,
        "recorded": run_to_json(found.recorded),
        "run": run_to_json(found.run),
    }
