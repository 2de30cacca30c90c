"""`harness validate`: whether a fix fixes, and breaks nothing else."""

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import JsonFile, counted, speaker, write_json
from harness.cli._revisions import HERE, Backends, Build, Python, Repo, set_up, why

if TYPE_CHECKING:
    from harness.fixes import Validation


def validate(  # noqa: PLR0913, PLR0917 - options of a command
    case: Annotated[str, typer.Argument(help="A case file, or a case's name.")],
    before: Annotated[str, typer.Option(help="A commit without the fix.")],
    after: Annotated[str, typer.Option(help="A commit with it.")],
    diagnosis: Annotated[str, typer.Option(help="The cause that it must fail of before.")] = "",
    tag: Annotated[
        list[str] | None, typer.Option(help="Other cases to look at [default: smoke]; may be repeated.")
    ] = None,
    repo: Repo = HERE,
    python: Python = "",
    build: Build = "",
    backend: Backends = None,
    json_file: JsonFile = None,
) -> int:
    """Say whether a fix is one: the case fails before, passes after, and no other turns red."""
    from harness.fixes import Answer, validate_fix  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    _refuse_unknown(diagnosis)
    with set_up(repo, python, build, backend) as (repository, trees, how):
        old, new = repository.commit(before), repository.commit(after)
        _refuse_same(old.hash, new.hash)
        for line in repository.notes(old, new):
            say(line)
        found = validate_fix(
            trees.at(old), trees.at(new), how, case, diagnosis=diagnosis, tags=tag or ("smoke",)
        )
    for line in _words(case, found):
        say(line)
    write_json(json_file, _as_json(case, (old.hash, new.hash), found))
    return 0 if found.answer is Answer.CONFIRMED else 1


def _refuse_unknown(diagnosis: str) -> None:
    from harness.discover import plugins, suggest  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    known = tuple(plugins("diagnoses"))
    if diagnosis and diagnosis not in known:
        raise HarnessError(f"--diagnosis: unknown name '{diagnosis}'{suggest(diagnosis, known)}")


def _refuse_same(before: str, after: str) -> None:
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    if before == after:
        raise HarnessError("--before and --after are the same commit: a fix lies between two")


def _words(case: str, found: "Validation") -> list[str]:
    tail = f" {found.reason}" if found.answer == "breaks" else f": {found.reason}" if found.reason else ""
    if found.answer == "fix confirmed":
        tail = f": {case} failed before of {found.cause}; {counted(found.others, 'other run')} not worse"
    return [f"{found.answer}{tail}", *(line for run in found.runs for line in why(run))]


def _as_json(case: str, commits: tuple[str, str], found: "Validation") -> object:
    from harness.codec import run_to_json  # noqa: PLC0415 - rarely

    return {
        "schema": 1,
        "case": case,
        "before": commits[0],
        "after": commits[1],
        "answer": found.answer,
        "reason": found.reason,
        "cause": found.cause,
        "others": found.others,
        "runs": [run_to_json(run) for run in found.runs],
    }
