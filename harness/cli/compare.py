"""`harness compare`: two commits, case by case, side by side."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import DEFAULT_STORE, JsonFile, Store, counted, speaker, write_json
from harness.cli._revisions import HERE, Backends, Build, Python, Repo, set_up, why

if TYPE_CHECKING:
    from harness.compare import Absent
    from harness.decide import Comparison, Finding, Limits

Cases = Annotated[list[str] | None, typer.Argument(help="Case files, folders or names [default: cases].")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Also write the result as a page.")]
Files = tuple[Path | None, Path | None]
Revision = Annotated[str, typer.Argument(help="A commit, a branch or a tag.")]


def compare(  # noqa: PLR0913, PLR0917 - options of a command
    a: Revision,
    b: Revision,
    cases: Cases = None,
    repo: Repo = HERE,
    python: Python = "",
    build: Build = "",
    backend: Backends = None,
    tag: Annotated[list[str] | None, typer.Option(help="Cases with this tag only; may be repeated.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Compare this only; may be repeated.")] = None,
    threshold: Annotated[str, typer.Option(help="The smallest effect of interest.")] = "5%",
    most: Annotated[int, typer.Option(min=2, help="At most so many runs of each side.")] = 14,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Run nothing: compare what the store holds of both.")
    ] = False,
    store: Store = DEFAULT_STORE,
    json_file: JsonFile = None,
    html: HtmlFile = None,
) -> int:
    """Compare two commits, A B A B until the answer is clear; exit 1 if B is worse."""
    from harness.compare import compare as compared  # noqa: PLC0415 - heavy
    from harness.decide import Limits  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    limits = Limits(threshold=_share(threshold), most=most, metrics=tuple(metric or ()))
    if recorded:
        _refuse_running(python, build, tag)
        return _of_the_store(store, repo, (a, b), limits, cases, backend, (json_file, html))
    with set_up(repo, python, build, backend) as (repository, trees, how):
        old, new = repository.commit(a), repository.commit(b)
        for line in (
            *repository.notes(old, new),
            f"A {old.short} {old.subject}",
            f"B {new.short} {new.subject}",
        ):
            say(line)
        found = []
        for one in compared(trees, (old, new), how, limits, cases or (), tag or ()):
            found.append(one)
            say(_headline(one))
    return _conclude((old.hash, new.hash), limits.threshold, found, (json_file, html))


def _refuse_running(python: str, build: str, tag: list[str] | None) -> None:
    from harness.model import HarnessError  # noqa: PLC0415 - heavy

    given = {"--python": python, "--build": build, "--tag": tag}
    senseless = [option for option, value in given.items() if value]
    if senseless:
        raise HarnessError(f"{senseless[0]}: --recorded runs nothing; leave one of the two out")


def _of_the_store(  # noqa: PLR0913, PLR0917 - options of a command
    store: str,
    repo: Path,
    revisions: tuple[str, str],
    limits: "Limits",
    cases: list[str] | None,
    backends: list[str] | None,
    files: Files,
) -> int:
    from harness.compare_recorded import compare_recorded  # noqa: PLC0415 - heavy

    done = compare_recorded(store, repo, revisions, limits, cases=cases or (), backends=backends or ())
    say, (old, new) = speaker(files[0]), done.commits
    absent = [_headline(one) for one in _sorted(done.found)[1]]
    for line in (*done.notes, f"A {old.short} {old.subject}", f"B {new.short} {new.subject}", *absent):
        say(line)
    return _conclude((old.hash, new.hash), limits.threshold, done.found, files)


def _conclude(
    commits: tuple[str, str],
    threshold: float,
    found: "Iterable[Comparison | Absent]",
    files: Files,
) -> int:
    """Say what was found, write it, and give the exit code. files: for JSON and for the page."""
    (json_file, html), (done, absent) = files, _sorted(found)
    say = speaker(json_file)
    for one in done:
        for line in _words(one):
            say(line)
    for line in _left_open(done):
        say(line)
    say(_summary(done, absent))
    write_json(json_file, _as_json(commits, threshold, done, absent))
    if html is not None:
        _write_page(commits, done, absent, html)
    return _exit_code(done, absent)


def _write_page(
    commits: tuple[str, str], done: "list[Comparison]", absent: "list[Absent]", path: Path
) -> None:
    from reports._comparison import write_comparison  # noqa: PLC0415 - heavy
    from reports._words import commit_text  # noqa: PLC0415 - heavy

    lacking = [f"{one.case}: {one.reason}" for one in absent]
    write_comparison([commit_text(commit) for commit in commits], done, lacking, path)


def _left_open(done: "list[Comparison]") -> list[str]:
    """In one line, how many figures rest on too few recorded runs."""
    from harness.decide import FEW  # noqa: PLC0415 - heavy

    number = sum(each.kind == "skipped" for one in done for each in one.findings)
    advice = f"it takes {FEW} of each commit, or a comparison without --recorded"
    return [f"left open: {counted(number, 'noisy figure')} of too few runs; {advice}"] if number else []


def _share(text: str) -> float:
    from harness.model import HarnessError  # noqa: PLC0415 - heavy
    from harness.units import percent  # noqa: PLC0415 - heavy

    try:
        found = percent(text)
    except ValueError as error:
        raise HarnessError(f"--threshold: {error}") from error
    if found <= 0:
        raise HarnessError(
            f"--threshold: expected more than 0%, got {text}; what is exact is always compared exactly"
        )
    return found


def _sorted(found: "Iterable[Comparison | Absent]") -> "tuple[list[Comparison], list[Absent]]":
    """Changes of status first, then the worst."""
    from harness.compare import Absent  # noqa: PLC0415 - heavy
    from harness.decide import Kind  # noqa: PLC0415 - heavy

    every = list(found)
    order = list(Kind)
    done = [one for one in every if not isinstance(one, Absent)]
    done.sort(key=lambda one: (order.index(one.outcome), order.index(one.kind), one.case, one.backend))
    return done, [one for one in every if isinstance(one, Absent)]


def _headline(one: "Comparison | Absent") -> str:
    from harness.compare import Absent  # noqa: PLC0415 - heavy

    if isinstance(one, Absent):
        return f"not compared  {one.case}: {one.reason}"
    return f"{one.kind:<12}  {one.case} [{one.backend}] after {counted(one.rounds, 'round')}"


def _words(one: "Comparison") -> list[str]:
    """All that is worth telling of one case; nothing of what stayed as it was."""
    name = f"{one.case} [{one.backend}]"
    lines = []
    if one.outcome != "same":
        before, after = (f"{bad} of {of}" for bad, of in zip(one.failed, one.runs, strict=True))
        alike = one.runs[0] == one.runs[1]
        rounds = f"{one.failed[0] if alike else before} and {after} not healthy"
        lines = [f"{one.outcome}  {name}  {one.status[0]} -> {one.status[1]} ({rounds})", *why(one.worst)]
    elif one.status[1] not in ("pass", "skip"):
        lines = [f"as before  {name}  {one.status[1]} at both", *why(one.worst)]
    if one.unlike and one.kind != "skipped":
        lines.append(f"unlike  {name}  {one.unlike}: other numbers are no regression then")
    told = [each for each in one.findings if each.kind not in ("same", "skipped")]
    if one.kind == "regression":
        told = [each for each in told if each.kind != "inconclusive"]
    return lines + [f"{each.kind}  {name}  {_finding(each)}" for each in told]


def _finding(one: "Finding") -> str:
    from harness.units import show  # noqa: PLC0415 - heavy

    what = f"{one.metric} {show(one.before, one.unit)} to {show(one.after, one.unit)}"
    if one.note and not one.exact:
        return f"{one.metric}: {one.note}"
    if one.exact:
        return f"{what} ({_signed(one.share)}, exactly){one.note and f'; {one.note}'}"
    return f"{what} ({_signed(one.share)}, {_signed(one.low)} to {_signed(one.high)})"


def _signed(share: float) -> str:
    from harness.units import show  # noqa: PLC0415 - heavy

    return f"{'+' * (share > 0)}{show(share, '%')}"


def _summary(done: "list[Comparison]", absent: "list[Absent]") -> str:
    counts = Counter(str(one.kind) for one in done)
    words = [f"{number} {kind}" for kind, number in counts.items()]
    return ", ".join([*words, *([f"{len(absent)} not compared"] if absent else [])])


def _exit_code(done: "list[Comparison]", absent: "list[Absent]") -> int:
    if any(one.kind == "regression" for one in done):
        return 1
    return 2 if absent and not done else 0


def _as_json(
    commits: tuple[str, str], threshold: float, done: "list[Comparison]", absent: "list[Absent]"
) -> object:
    from harness.plain import strict  # noqa: PLC0415 - rarely

    return strict(
        {
            "schema": 1,
            "before": commits[0],
            "after": commits[1],
            "threshold": threshold,
            "comparisons": [_comparison(one) for one in done],
            "absent": [asdict(one) for one in absent],
        }
    )


def _comparison(one: "Comparison") -> dict[str, object]:
    from harness.codec import run_to_json  # noqa: PLC0415 - rarely

    return {
        "case": one.case,
        "backend": one.backend,
        "kind": one.kind,
        "rounds": one.rounds,
        "runs": one.runs,
        "status": one.status,
        "outcome": one.outcome,
        "failed": one.failed,
        "unlike": one.unlike,
        "findings": [asdict(each) for each in one.findings],
        "run": run_to_json(one.worst),
    }
