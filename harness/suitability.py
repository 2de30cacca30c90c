"""Whether the parts of a case suit each other, asked before anything trains.

Its data and its model, by the data's own rules; the tensors that its checks name and those of its model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from os.path import isfile  # unlike that of Path, it never raises

from harness import data
from harness.checks import Check
from harness.data import markov
from harness.data.common import decoder_of, mlp_of
from harness.documents import Mistake, Node
from harness.model import HarnessError
from harness.models import describe
from harness.native import BUILTIN
from harness.programs import CommandModel, PythonModel, ScriptModel, TransformersModel, answered_by, files_of
from harness.spec import Case, Computed, DecoderModel, MarkovData, TeacherData, TextData

MOST_LAYERS = 10_000
"""A model of more is not listed tensor by tensor; it would not fit anywhere."""
MOST_NAMES = 6
"""Tensors that a mistake lists when no name is near."""


def unsuitable(case: Case, root: Node) -> list[Mistake]:
    """What does not suit, at its place in the file; nothing when all does."""
    if isinstance(case.model, CommandModel | ScriptModel | PythonModel):
        # What a program trains, and on what, only it knows.
        return [*_missing_files(case, root), *_unanswered(case, root)]
    lacking = [name for name in ("data", "optimizer") if getattr(case.config, name) is None]
    if lacking:
        return [Mistake(_nearest(root, ["config"]).start, f"config.{name}: missing") for name in lacking]
    if isinstance(case.model, TransformersModel):
        return [*_refused_data(case, root), *_unanswered(case, root)]
    return [
        *_refused_data(case, root),
        *_missing_sources(case, root),
        *_idle_patterns(case, case.model, root),
    ]


def _missing_sources(case: Case, root: Node) -> Iterator[Mistake]:
    """Sources of a library that are no files."""
    for source in case.library.sources if case.library else ():
        path = case.path.parent / source
        if source != BUILTIN and not isfile(path):  # noqa: PTH113
            text = f"model.library.source: no such file: '{path}'; name it relative to the case's folder"
            yield Mistake(_nearest(root, ["model", "library", "source"]).start, text)


def _missing_files(case: Case, root: Node) -> Iterator[Mistake]:
    """Files of a program that are none."""
    for key, name in files_of(case.model).items():
        path = case.path.parent / name
        if not isfile(path):  # noqa: PTH113
            text = f"model.{key}: no such file: '{path}'; name it relative to the case's folder"
            yield Mistake(_nearest(root, ["model", key]).start, text)


def _unanswered(case: Case, root: Node) -> Iterator[Mistake]:
    """Checks that ask for what a program, which is run once and as it is, cannot tell."""
    told = answered_by(case.model)
    for keys, checks in _expectations(case):
        for name, check in checks.items():
            if check.probes and not told.issuperset(check.probes):
                scorable = name == "score" and hasattr(case.model, "evaluate")
                advice = "name what gives it, model.evaluate" if scorable else "leave it out"
                text = f"{'.'.join([*keys, name])}: cannot be asked of a program that is run once; {advice}"
                yield Mistake(_nearest(root, [*keys, name]).start, text)


def _refused_data(case: Case, root: Node) -> Iterator[Mistake]:
    try:
        _try_data(case)
    except HarnessError as error:
        key, _, text = str(error).removeprefix(f"{case.path}: ").partition(": ")
        yield Mistake(_nearest(root, key.split(".")).start, f"{key}: {text}")


def _idle_patterns(case: Case, model: Computed, root: Node) -> Iterator[Mistake]:
    """Tensor patterns of checks that match no tensor of the model: nothing would be looked at."""
    if isinstance(model, DecoderModel) and model.decoder.layers > MOST_LAYERS:
        return
    names = tuple(tensor.name for tensor in describe(model, case.config.sequence))
    for keys, pattern in _patterns(case):
        if not any(fnmatchcase(name, pattern) for name in names):
            text = f"{'.'.join(keys)}: matches no tensor; {_advice(pattern, names)}"
            yield Mistake(_nearest(root, keys).start, text)


def _advice(pattern: str, names: Sequence[str]) -> str:
    near = get_close_matches(pattern, names, n=1)
    return (
        f"did you mean '{near[0]}'?"
        if near
        else f"the model has {', '.join(names[:MOST_NAMES])}{', ...' * (len(names) > MOST_NAMES)}"
    )


def _patterns(case: Case) -> Iterator[tuple[list[str], str]]:
    """Every tensor pattern with the keys that lead to it."""
    for keys, checks in _expectations(case):
        for name, check in checks.items():
            yield from (([*keys, name, pattern], pattern) for pattern in check.patterns)


def _expectations(case: Case) -> Iterator[tuple[list[str], Mapping[str, Check]]]:
    """Checks with the keys that lead to them."""
    yield ["expect"], case.expect
    yield from ((["expect_on", backend], checks) for backend, checks in case.expect_on.items())


def _try_data(case: Case) -> None:
    """Load as little of the data as their rules need; a chain or a teacher of full size takes its time."""
    kind = case.config.data
    if isinstance(kind, TeacherData):
        mlp_of(case, "teacher", "regression")
    elif isinstance(kind, MarkovData) and _chain_is_feasible(case):
        decoder_of(case, "markov")
    else:
        batch = case.config.batch if isinstance(kind, TextData) else 1
        data.load(replace(case, config=replace(case.config, steps=1, batch=batch, micro_batches=1)))


def _chain_is_feasible(case: Case) -> bool:
    return not isinstance(case.model, DecoderModel) or case.model.decoder.vocab <= markov.MOST_TOKENS


def _nearest(root: Node, keys: list[str]) -> Node:
    """The node that keys lead to, or the nearest above it that the file has."""
    for key in keys:
        root = root.mapping.get(key, root)
    return root
