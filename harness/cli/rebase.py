"""`harness rebase`: record what a case gives, as the truth that it is held to from now on."""

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import JsonFile, speaker, write_json
from harness.cli._screen import Screen
from harness.cli.calibrate import find_case, refuse_other_backends

if TYPE_CHECKING:
    from harness.rebase import Rebased


def rebase(
    case: Annotated[str, typer.Argument(help="A case file, or a case's name (in `cases`, or folder/name).")],
    because: Annotated[str, typer.Option(help="Why other numbers are right from now on; for the ledger.")],
    backend: Annotated[
        list[str] | None, typer.Option(help="Record this backend of the case only; may be repeated.")
    ] = None,
    json_file: JsonFile = None,
) -> int:
    """Record baselines: of committed code, of two healthy runs that agree, with a reason."""
    from harness.ledger import LEDGER  # noqa: PLC0415 - rarely
    from harness.plain import strict  # noqa: PLC0415 - heavy
    from harness.rebase import REPEATS, to_record  # noqa: PLC0415 - heavy
    from harness.rebase import rebase as record  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    found, _ = find_case(case)
    refuse_other_backends(found, backend or [])
    total = REPEATS * len(to_record(found, because, backend or []))
    with Screen(total, 1, say) as screen:
        done = record(found, because, backends=backend or [], on_end=screen.advance)
    for one in done:
        say(_words(one))
    if any(one.changed for one in done):
        say(f"noted in {done[0].path.parent / LEDGER}; look at the difference, and commit both")
    write_json(json_file, {"schema": 1, "baselines": [strict(_as_json(one)) for one in done]})
    return 0


def _words(one: "Rebased") -> str:
    from harness.units import show  # noqa: PLC0415 - heavy

    name = f"{one.case} [{one.backend}]"
    if not one.changed:
        return f"unchanged  {name} gives what is recorded in {one.path}"
    change = "the first" if one.largest is None else f"largest change {show(one.largest, '%')}"
    return f"recorded   {name} {one.path}, {change}"


def _as_json(one: "Rebased") -> dict[str, object]:
    return {
        "case": one.case,
        "backend": one.backend,
        "path": str(one.path),
        "changed": one.changed,
        "largest_change": one.largest,
    }
