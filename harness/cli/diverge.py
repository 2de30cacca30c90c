"""`harness diverge`: where two recorded trainings part, and which of them is wrong."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import DEFAULT_STORE, JsonFile, Store, speaker, write_json

if TYPE_CHECKING:
    from harness.diverge import Divergence
    from harness.model import Run
    from harness.store import Store as RunStore

REFERENCE = "numpy_float64"
RunName = Annotated[
    str, typer.Argument(help="A run: the beginning of its id, or CASE:BACKEND for the newest.")
]


def diverge(left: RunName, right: RunName, store: Store = DEFAULT_STORE, json_file: JsonFile = None) -> int:
    """Find the first step, stage and tensor where two runs part; exit 1 if they part beyond rounding."""
    from harness.diverge import diverge as compared  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    with open_store(store, create=False) as recorded:
        runs = [run_named(recorded, name) for name in (left, right)]
        reference = _reference(recorded, runs[0])
    try:
        found = compared(runs[0], runs[1], reference)
    except ValueError as error:
        raise HarnessError(str(error)) from error
    for line in _words(runs, found):
        say(line)
    write_json(json_file, _as_json(runs, found))
    return 1 if found.beyond else 0


def run_named(recorded: "RunStore", name: str) -> "Run":
    """The run that an id's beginning means, or the newest of `CASE:BACKEND`.

    Raises:
        HarnessError: there is none.
    """
    case, colon, backend = name.rpartition(":")
    if not colon:
        return recorded.run(name)
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    newest = recorded.runs(case=case, backend=backend, limit=1)
    if not newest:
        raise HarnessError(
            f"store {recorded.where}: no runs of '{case}' on '{backend}'; see `harness history`"
        )
    return recorded.run(newest[-1].id)


def _reference(recorded: "RunStore", run: "Run") -> "Run | None":
    """The newest float64 run of the same problem; the case of one matrix may have another's numbers."""
    newest = recorded.runs(case=run.case, backend=REFERENCE, limit=1)
    found = recorded.run(newest[-1].id) if newest else None
    return found if found is not None and found.facts.trace is not None and found.facts.trace.steps else None


def _words(runs: "list[Run]", found: "Divergence") -> list[str]:
    from harness.units import show  # noqa: PLC0415 - heavy

    lines = [
        f"{side}  {run.case} [{run.backend}] {run.id}"
        for side, run in zip(("left ", "right"), runs, strict=True)
    ]
    if found.first is None:
        return [*lines, "no number of them differs, at any step"]
    lines.append(f"first difference: {found.first.words()}")
    if found.beyond is None:
        lines.append(f"beyond rounding ({show(found.noise, '%')}): nowhere; both are float noise")
    elif found.beyond != found.first:
        lines.append(f"beyond rounding ({show(found.noise, '%')}): {found.beyond.words()}")
    if found.left_error is not None and found.right_error is not None:
        errors = f"left by {show(found.left_error, '%')}, right by {show(found.right_error, '%')}"
        lines.append(f"from {REFERENCE}: {errors}{f'; {found.wrong} is wrong' if found.wrong else ''}")
    return lines


def _as_json(runs: "list[Run]", found: "Divergence") -> object:
    from harness.plain import strict  # noqa: PLC0415 - rarely

    named = [{"id": run.id, "case": run.case, "backend": run.backend} for run in runs]
    return strict({"schema": 1, "left": named[0], "right": named[1], **asdict(found)})
