"""`harness bisect`: the first commit at which a case fails."""

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import JsonFile, counted, speaker, write_json
from harness.cli._revisions import HERE, Backends, Build, Python, Repo, set_up, why

if TYPE_CHECKING:
    from harness.bisection import Bisection, Visit
    from harness.repository import Commit


def bisect(  # noqa: PLR0913, PLR0917 - options of a command
    case: Annotated[str, typer.Argument(help="A case file, or a case's name.")],
    good: Annotated[str, typer.Option(help="A commit at which it passes.")],
    bad: Annotated[str, typer.Option(help="A later commit at which it fails.")],
    repo: Repo = HERE,
    python: Python = "",
    build: Build = "",
    backend: Backends = None,
    json_file: JsonFile = None,
) -> int:
    """Find the first commit at which a case fails, with its diagnosis; exit 1 if several are left."""
    from harness.bisection import Examiner, first_bad  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    with set_up(repo, python, build, backend) as (repository, trees, how):
        old, new = repository.commit(good), repository.commit(bad)
        commits = repository.between(old, new)
        for line in repository.notes(new):
            say(line)
        say(f"{counted(len(commits), 'commit')} from {old.short} to {new.short}")
        examiner = Examiner(trees=trees, elsewhere=how, case=case)
        last = examiner.ends(old, new)

        def told(commit: "Commit") -> "Visit":
            one = examiner.test(commit)
            say(f"{one.state:<7}  {_commit(commit)}{one.reason and f': {one.reason}'}")
            return one

        found = first_bad(commits, last, told)
    for line in _words(case, found):
        say(line)
    write_json(json_file, _as_json(case, (old.hash, new.hash), found))
    return 0 if len(found.suspects) == 1 else 1


def _commit(commit: "Commit") -> str:
    return f"{commit.short}  {commit.authored[:10]}  {commit.subject}"


def _words(case: str, found: "Bisection") -> list[str]:
    shown = why(found.bad.run) if found.bad.run is not None else []
    if len(found.suspects) > 1:
        lines = [f"narrowed  {case} fails since one of {len(found.suspects)}; the others could not be run:"]
        return lines + [f"       {_commit(commit)}" for commit in found.suspects] + shown
    (culprit,) = found.suspects
    lines = [f"found  {case} fails since {_commit(culprit)}"]
    if len(culprit.parents) > 1:
        first, second = (parent[:9] for parent in culprit.parents[:2])
        inside = f"--good $(git merge-base {first} {second}) --bad {second}"
        lines.append(f"       it is a merge; what came in: harness bisect {case} {inside}")
    return lines + shown


def _as_json(case: str, ends: tuple[str, str], found: "Bisection") -> object:
    from dataclasses import asdict  # noqa: PLC0415 - rarely

    from harness.codec import run_to_json  # noqa: PLC0415 - rarely

    run = found.bad.run
    return {
        "schema": 1,
        "case": case,
        "good": ends[0],
        "bad": ends[1],
        "suspects": [asdict(commit) for commit in found.suspects],
        "tested": [
            {"commit": one.commit.hash, "state": one.state, "reason": one.reason} for one in found.tested
        ],
        "run": None if run is None else run_to_json(run),
    }
