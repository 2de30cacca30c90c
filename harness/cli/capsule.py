"""`harness capsule`: a recorded run in one file, for another machine."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli._options import DEFAULT_STORE, JsonFile, Store, speaker, write_json
from harness.cli.diverge import run_named
from harness.cli.replay import Name

Output = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Where it goes [default: RUN.capsule].")
]


def capsule(
    run: Name, output: Output = None, store: Store = DEFAULT_STORE, json_file: JsonFile = None
) -> int:
    """Pack all that a recorded run takes into one file, which `harness replay` runs elsewhere."""
    from harness.capsule import pack  # noqa: PLC0415 - heavy
    from harness.replay import case_of  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    with open_store(store, create=False) as recorded:
        found = run_named(recorded, run)
        case = case_of(found, recorded.case_file(found.case, found.case_digest))
    target = output or Path(f"{found.id}.capsule")
    pack(found, case, target)
    say(f"packed  {found.case} [{found.backend}] {found.id}; elsewhere: harness replay {target}")
    write_json(json_file, {"schema": 1, "run": found.id, "path": str(target)})
    return 0
