"""Writes proposed bounds into the case file that holds the present ones; all else in it stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import realpath  # unlike that of Path, it never raises
from pathlib import Path

from harness.calibrate import Bound, Calibration, with_proposals
from harness.cases import find
from harness.documents import DocumentError, Node, parse, read
from harness.draft import Draft
from harness.families import complete, variants
from harness.model import HarnessError
from harness.spec import Case
from harness.yaml_edit import Edit, at, decoded, line_after, replace_file, span, spliced

ALIAS = "an anchor, an alias or its spelling keeps it from being replaced; write it as a plain value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What was done to a file.

    changes: bounds that it holds now. left: bounds whose proposal was not written, each with the reason.
    revision: before and after; None where nothing was written. heirs: files that extend this one.
    """

    path: Path
    changes: tuple[Bound, ...]
    left: tuple[tuple[Bound, str], ...]
    revision: tuple[int, int] | None = None
    heirs: tuple[Path, ...] = ()


def refuse_variant(case: Case) -> None:
    """Refuse a case that its file has several of.

    Raises:
        HarnessError: it is a variant of a matrix.
    """
    if case.name != case.path.stem:
        advice = "its bounds hold for all of them; calibrate each without --write and give the widest"
        raise HarnessError(
            f"{case.path}: --write: '{case.name}' is one of the variants of a matrix, {advice}"
        )


def write_bounds(done: Calibration, before: bytes) -> Written:
    """Replace the bounds in the case's own file by the proposed ones, and raise its revision by one.

    Nothing is touched where no bound changes. before: the file as it was when the case was read.

    Raises:
        HarnessError: a variant of a matrix, or the file has changed, or would be no such case.
        BrokenError: it cannot be written.
    """
    case = done.case
    refuse_variant(case)
    source = decoded(before)
    root = parse(source, case.path)
    changes, left, edits = [], [], []
    for bound in done.bounds:
        if not bound.changes or bound.new_text is None:
            continue
        edit = _edit(done, bound, source, root)
        if isinstance(edit, str):
            left.append((bound, edit))
        else:
            changes.append(bound)
            edits.append(edit)
    if not changes:
        return Written(path=case.path, changes=(), left=tuple(left))
    text = spliced(source, [*edits, _revision(source, root, case.revision)])
    _refuse_other(case, changes, text)
    replace_file(case.path, before, text)
    return Written(
        path=case.path,
        changes=tuple(changes),
        left=tuple(left),
        revision=(case.revision, case.revision + 1),
        heirs=_heirs(case.path),
    )


def _edit(done: Calibration, bound: Bound, source: str, root: Node) -> Edit | str:
    """The edit that writes a bound, or why it is not written."""
    node = at(root, bound.place)
    if node is None:
        return f"inherited from {_origin(done.case, bound)}; give it in this file to hold it to that here"
    idle = [name for name in _held_to(done.case, bound) if name in done.absent]
    if idle and bound.kind != "spread":
        why = f"it also holds on {idle[0]}, which did not run ({done.absent[idle[0]]})"
        return f"{why}; run there, or give each backend its own under expect_on"
    place = span(source, root, node)
    return ALIAS if place is None else (*place, bound.new_text or "")


def _held_to(case: Case, bound: Bound) -> Sequence[str]:
    """The backends that a bound holds on."""
    if bound.place[0] == "expect_on":
        return (str(bound.place[1]),)
    return [name for name in case.backends if bound.place[1] not in case.expect_on.get(name, {})]


def _origin(case: Case, bound: Bound) -> Path | str:
    node = at(complete(case.path, read), bound.place)
    return "another file" if node is None else node.place.path


def _revision(source: str, root: Node, now: int) -> Edit:
    node, text = root.mapping.get("revision"), f"revision: {now + 1}"
    place = None if node is None else span(source, root, node)
    if place is not None:
        return (*place, str(now + 1))
    below = root.mapping.get("schema") or root.mapping.get("extends")
    edit = line_after(source, below, text) if below is not None and node is None else None
    if edit is None:
        raise HarnessError(
            f"{root.place.path}: revision: cannot be raised in place; add a line `revision: {now}`"
        )
    return edit


def _refuse_other(case: Case, changes: Sequence[Bound], text: str) -> None:
    """Read the new text as a case file, before it replaces anything: valid, and as intended.

    Raises:
        HarnessError: it has mistakes, or expects something else.
    """
    lint = read_text(case.path, text)
    wanted = with_proposals(case, changes)
    if lint.expect != wanted.expect or lint.expect_on != wanted.expect_on:
        raise HarnessError(f"{case.path}: the edited file would not say what was proposed; it is as it was")


def read_text(path: Path, text: str) -> Case:
    """The one case that a file would hold with another text.

    Raises:
        HarnessError: the first mistake.
    """
    root = complete(
        path, lambda other: parse(text, path) if realpath(other) == realpath(path) else read(other)
    )
    draft = Draft(path=path, root=variants(root, path.stem)[0].root)
    case = draft.case(path.stem)
    if case is None:
        raise HarnessError(f"{draft.mistakes[0]}; the file is as it was")
    return case


def _heirs(path: Path) -> tuple[Path, ...]:
    """The case files in the same folder, and below, that extend a file."""
    return tuple(other for other in find([path.parent]) if _extends(other, path))


def _extends(other: Path, path: Path) -> bool:
    try:
        link = read(other).mapping.get("extends")
    except DocumentError:
        return False
    return (
        link is not None
        and isinstance(link.value, str)
        and realpath(other.parent / link.value) == realpath(path)
    )
