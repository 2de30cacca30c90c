"""`harness calibrate`: run a case over seeds, and propose its bounds."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli._options import JsonFile, counted, speaker, write_json
from harness.cli._screen import Screen

if TYPE_CHECKING:
    from harness.calibrate import Bound, Calibration
    from harness.proposals import Figure
    from harness.spec import Case
    from harness.write_bounds import Written

Say = Callable[[str], None]
HEADER = ("bound", "present", "proposed", "healthy", "sees", "seeds", "")


def calibrate(  # noqa: PLR0913, PLR0917 - options of a command
    case: Annotated[str, typer.Argument(help="A case file, or a case's name (in `cases`, or folder/name).")],
    seeds: Annotated[int, typer.Option(min=2, help="How many seeds to run, from 0 on.")] = 8,
    backend: Annotated[
        list[str] | None, typer.Option(help="Only on this backend of the case; may be repeated.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    write: Annotated[
        bool, typer.Option("--write", help="Write the proposed bounds into the case file.")
    ] = False,
    json_file: JsonFile = None,
) -> int:
    """Run a case over seeds and propose its bounds, with what each can see. Records nothing."""
    from harness.calibrate import backends_here  # noqa: PLC0415 - heavy
    from harness.calibrate import calibrate as measure  # noqa: PLC0415 - heavy
    from harness.write_bounds import refuse_variant, write_bounds  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    found, before = find_case(case)
    refuse_other_backends(found, backend or [])
    if write:
        refuse_variant(found)
    total = seeds * len(backends_here(found, backend or [])[0])
    with Screen(total, workers, say) as screen:
        done = measure(found, seeds=seeds, backends=backend or [], workers=workers, on_end=screen.advance)
    _show(done, say)
    written = write_bounds(done, before) if write else None
    if written is not None:
        _show_written(written, say)
    write_json(json_file, _as_json(done, written))
    return 0


def find_case(word: str) -> "tuple[Case, bytes]":
    """The case that a path or a name means, and its file as it is now.

    Raises:
        HarnessError: there is none, the file has mistakes, or it holds several.
    """
    from harness.cases import load_cases  # noqa: PLC0415 - heavy
    from harness.discover import suggest  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    path = Path(word)
    if path.suffix in {".yaml", ".yml"} or path.exists():
        cases = load_cases([path]).cases
        if len(cases) > 1:
            names = ", ".join(case.name for case in cases)
            raise HarnessError(f"{word}: {len(cases)} cases, expected one; name it: {names}")
        return cases[0], cases[0].path.read_bytes()
    folder = path.parent if path.parent != Path() else Path("cases")
    by_name = {case.name: case for case in load_cases([folder]).cases}
    if path.name not in by_name:
        raise HarnessError(f"{folder}: no case named '{path.name}'{suggest(path.name, by_name)}")
    return by_name[path.name], by_name[path.name].path.read_bytes()


def refuse_other_backends(case: "Case", names: list[str]) -> None:
    """Only backends of the case can be chosen.

    Raises:
        HarnessError: it does not run on one of them; names the nearest.
    """
    from harness.discover import suggest  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    for name in names:
        if name not in case.backends:
            hint = suggest(name, case.backends)
            raise HarnessError(f"--backend: {case.name} does not run on '{name}'{hint}")


def _show(done: "Calibration", say: Say) -> None:
    from harness.calibrate import ENOUGH_SEEDS  # noqa: PLC0415 - heavy
    from harness.proposals import FACTOR, SPREAD  # noqa: PLC0415 - heavy

    say(f"{done.case.name}: {counted(done.seeds, 'healthy seed')} on {', '.join(done.runs)}")
    for name, why in done.absent.items():
        say(f"not on {name}: {why}")
    if done.seeds < ENOUGH_SEEDS:
        say(f"warning: {done.seeds} seeds say little about the spread; {ENOUGH_SEEDS} or more are better")
    if not done.bounds:
        say("no check of this case holds a number to a bound that seeds could set")
        return
    for line in _aligned([HEADER, *(_row(bound, len(done.runs) > 1) for bound in done.bounds)]):
        say(f"  {line}")
    say(
        f"proposed: mean +- {SPREAD:.3g} standard deviations; time x {FACTOR['time']:.3g} and memory x"
        f" {FACTOR['memory']:.3g} of the worst seed; tolerances {FACTOR['tolerance']:.3g} x the largest error"
    )
    say("sees: smallest change of the mean that fails a run at the present bound, with 80 % power")
    say("seeds: needed on each side of a comparison to see a change of 5 %, 95 % confidence, 80 % power")


def _row(bound: "Bound", several: bool) -> tuple[str, ...]:
    from harness.units import show  # noqa: PLC0415 - heavy

    figure = _deciding(bound)
    healthy = f"{show(figure.mean, bound.unit)} +- {show(figure.deviation, bound.unit)}"
    notes = [bound.decided_by] if several and bound.decided_by else []
    outside = sum(each.outside for each in bound.figures.values())
    notes += [f"{outside} of {sum(len(each.values) for each in bound.figures.values())} fail now"] * (
        outside > 0
    )
    notes += [bound.why] if bound.why else []
    proposed = "-" if bound.new_text is None else bound.new_text if bound.changes else "as it is"
    needed = "-" if figure.needed is None else str(figure.needed)
    return name_of(bound), bound.text, proposed, healthy, _effect(figure), needed, "; ".join(notes)


def _deciding(bound: "Bound") -> "Figure":
    """The statistics on the backend that sets the bound."""
    return bound.figures.get(bound.decided_by) or next(iter(bound.figures.values()))


def name_of(bound: "Bound") -> str:
    """`loss_drop.at_least`, `gradients.*.norm[0]`, `expect_on.numpy_float64.peak_memory.at_most`."""
    first, *rest = bound.place[1:] if bound.place[0] == "expect" else bound.place
    return str(first) + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in rest)


def _effect(figure: "Figure") -> str:
    if figure.effect is None:
        return "-"
    if figure.effect >= 9:
        return f"x {1 + figure.effect:.3g}"
    return f"{100 * figure.effect:+.3g} %"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _show_written(written: "Written", say: Say) -> None:
    for bound in written.changes:
        direction = "looser" if bound.looser else "tighter"
        say(f"{written.path}: {name_of(bound)}: {bound.text} -> {bound.new_text} ({direction})")
    for bound, why in written.left:
        say(f"not written: {name_of(bound)}: {bound.text} -> {bound.new_text}: {why}")
    if written.revision is None:
        say(f"{written.path}: nothing to write, the file is as it was")
        return
    say(f"{written.path}: revision: {written.revision[0]} -> {written.revision[1]}")
    for heir in written.heirs:
        say(f"{heir} extends this file: what it inherits has changed too; `harness lint` and run it")


def _as_json(done: "Calibration", written: "Written | None") -> Any:
    from harness.plain import strict  # noqa: PLC0415 - rarely

    changed = () if written is None else tuple(map(name_of, written.changes))
    return strict(
        {
            "schema": 1,
            "case": done.case.name,
            "revision": done.case.revision if not changed else done.case.revision + 1,
            "seeds": done.seeds,
            "backends": list(done.runs),
            "absent": done.absent,
            "bounds": [_bound_as_json(bound, written=name_of(bound) in changed) for bound in done.bounds],
            "left": [] if written is None else [{"bound": name_of(b), "why": why} for b, why in written.left],
        }
    )


def _bound_as_json(bound: "Bound", *, written: bool) -> dict[str, Any]:
    from dataclasses import asdict  # noqa: PLC0415 - rarely

    return {
        "bound": name_of(bound),
        "place": bound.place,
        "kind": bound.kind,
        "side": bound.side,
        "unit": bound.unit,
        "present": bound.present,
        "proposed": bound.proposed,
        "text": bound.text,
        "new_text": bound.new_text,
        "why": bound.why,
        "written": written,
        "decided_by": bound.decided_by,
        "figures": {name: asdict(figure) for name, figure in bound.figures.items()},
    }
