"""`harness sabotage`: break trainings on purpose, and show which cases notice."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import DEFAULT_STORE, JsonFile, Paths, Store, paths_or_default, speaker, write_json

if TYPE_CHECKING:
    from harness.matrix import Cell, Matrix, Shares
    from harness.sabotage import Choice
    from harness.spec import Case

MARKS = {
    "named": "named",
    "caught": "caught",
    "missed": "MISSED",
    "quiet": "quiet",
    "false_alarm": "ALARM",
    "not_applicable": "-",
}
"""What the table shows for each `harness.matrix.Effect`."""
Names = list[str] | None


def sabotage(  # noqa: PLR0913, PLR0917 - options of a command
    paths: Paths = None,
    backend: Annotated[Names, typer.Option(help="Only on this backend; may be repeated.")] = None,
    tag: Annotated[Names, typer.Option(help="Only cases with this tag; may be repeated.")] = None,
    fault: Annotated[Names, typer.Option(help="Only this fault; may be repeated.")] = None,
    promised: Annotated[
        bool, typer.Option("--promised", help="Only the faults that a case `catches`.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    store: Store = DEFAULT_STORE,
    json_file: JsonFile = None,
) -> int:
    """Break trainings on purpose; exit 1 if a case misses a fault it `catches` or raises a false alarm."""
    from harness.cli.run import select  # noqa: PLC0415 - only this command needs it

    cases = select(paths_or_default(paths), tag or [], backend or [])
    chosen, say = _choice(fault or [], promised=promised), speaker(json_file)
    matrix, unmet = filled(cases, chosen, store=store, backends=backend or [], workers=workers, say=say)
    write_json(json_file, _as_json(matrix, cases, unmet))
    return exit_code(matrix, unmet)


def exit_code(matrix: "Matrix", unmet: "Sequence[Cell]") -> int:
    """1 where a promise was broken or a healthy training accused."""
    return 1 if unmet or matrix.alarms else 0


def filled(  # noqa: PLR0913 - the options of a command
    cases: "Sequence[Case]",
    faults_of: "Choice",
    *,
    store: str,
    backends: Sequence[str],
    workers: int,
    say: Callable[[str], None],
    session: str = "",
) -> "tuple[Matrix, list[Cell]]":
    """Fill the matrix of these cases and faults, and show it; with the cells that break a case's promise.

    session: its healthy runs need no second training.

    Raises:
        HarnessError: there is no fault to try.
    """
    from harness.cli._screen import Screen  # noqa: PLC0415 - only this command needs it
    from harness.matrix import unmet  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy
    from harness.sabotage import plan, promised  # noqa: PLC0415 - heavy
    from harness.sabotage import sabotage as fill  # noqa: PLC0415 - heavy

    tasks, _ = plan(cases, backends, faults_of)
    if not tasks:
        raise HarnessError("--promised: none of the chosen cases says what it `catches`")
    with Screen(len(tasks), workers, say) as screen:
        matrix = fill(
            cases,
            store,
            backends=backends,
            faults_of=faults_of,
            workers=workers,
            session=session,
            on_end=screen.advance,
        )
    broken = [cell for case in cases for cell in unmet(case.name, promised(case), matrix.cells)]
    _show(matrix, broken, say)
    return matrix, broken


def _choice(faults: Sequence[str], *, promised: bool) -> "Choice":
    from harness.discover import plugins, suggest  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy
    from harness.sabotage import every_fault  # noqa: PLC0415 - heavy
    from harness.sabotage import promised as promised_by  # noqa: PLC0415 - heavy

    for name in faults:
        if name not in plugins("faults"):
            raise HarnessError(f"--fault: unknown name '{name}'{suggest(name, plugins('faults'))}")
    asked = faults or every_fault()
    return lambda case: [name for name in (promised_by(case) if promised else asked) if name in asked]


def _show(matrix: "Matrix", broken: "Sequence[Cell]", say: Callable[[str], None]) -> None:
    from harness.matrix import shares  # noqa: PLC0415 - heavy

    columns = list(dict.fromkeys((cell.case, cell.backend) for cell in matrix.cells))
    for number, (case, backend) in enumerate(columns, start=1):
        say(f"  {number:>2}  {case} [{backend}]")
    faults = list(dict.fromkeys(cell.fault for cell in matrix.cells))
    by_place = {(cell.fault, cell.case, cell.backend): cell for cell in matrix.cells}
    width = max(map(len, faults), default=5)
    say(f"  {'fault':<{width}}  naive   " + " ".join(f"{number:<6}" for number in range(1, len(columns) + 1)))
    for name in faults:
        row = [by_place.get((name, *place)) for place in columns]
        naive = "caught" if any(cell is not None and cell.naive for cell in row) else "missed"
        marks = " ".join(f"{MARKS[cell.effect] if cell else '':<6}" for cell in row)
        say(f"  {name:<{width}}  {naive:<6}  {marks}")
    for alarm in matrix.alarms:
        say(f"false alarm on a healthy run: {alarm}")
    for cell in broken:
        what = "false alarm" if cell.effect == "false_alarm" else "insensitive"
        say(f"{what}: {cell.case} [{cell.backend}] {cell.fault} {cell.message}")
    say(_summary(shares(matrix)))


def _summary(found: "Shares") -> str:
    def share(count: int) -> str:
        return f"{count} ({100 * count / found.faults:.3g} %)" if found.faults else "0"

    return (
        f"{found.faults} faults: {share(found.caught)} caught, {share(found.named)} named first or second; "
        f"the naive gate catches {share(found.naive)}; "
        f"{found.false_alarms} false alarms in {found.healthy_runs} healthy and benign runs"
    )


def _as_json(matrix: "Matrix", cases: "Sequence[Case]", broken: "Sequence[Cell]") -> object:
    from dataclasses import asdict  # noqa: PLC0415 - rarely

    from harness.matrix import shares  # noqa: PLC0415 - heavy
    from harness.plain import strict  # noqa: PLC0415 - rarely

    return strict(
        {
            "schema": 1,
            **asdict(matrix),
            "shares": asdict(shares(matrix)),
            "cases": [case.name for case in cases],
            "unmet": [asdict(cell) for cell in broken],
        }
    )
