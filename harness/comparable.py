"""Which runs may be compared: what must be alike, and the first thing that is not. Pure."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


def _minor(release: Any) -> Any:
    """`2.13.0+cpu` to `2.13`: patch releases and builds are taken as alike."""
    return ".".join(str(release).split("+", maxsplit=1)[0].split(".")[:2]) if release is not None else None


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One thing in which two comparable runs agree. reduce: the part of its value that matters."""

    key: str
    words: str
    reduce: Callable[[Any], Any] = _same


MACHINE_PARTS = (
    Part(key="device", words="device"),
    Part(key="dtype", words="dtype"),
    Part(key="threads", words="threads"),
    Part(key="ranks", words="ranks"),
    Part(key="architecture", words="architecture"),
    Part(key="cpu", words="CPU model"),
    Part(key="cores", words="cores"),
    Part(key="torch", words="torch", reduce=_minor),
    Part(key="numpy", words="NumPy", reduce=_minor),
    Part(key="blas", words="BLAS"),
)
PARTS = (
    Part(key="case", words="case"),
    Part(key="backend", words="backend"),
    Part(key="revision", words="case revision"),
    Part(key="problem_digest", words="problem digest"),
    *MACHINE_PARTS,
)
"""What makes runs comparable. Not here: commit, boot, canary; these are what is compared."""


def kind(facts: Mapping[str, Any], parts: tuple[Part, ...] = PARTS) -> tuple[Any, ...]:
    """The reduced values of all parts; equal exactly when `same_kind` finds no difference. Hashable."""
    values = [facts.get(part.key) for part in parts]
    try:
        return _kind_of(parts, *values)
    except TypeError:  # lists and mappings cannot be looked up
        return _kind_of.__wrapped__(parts, *values)


@lru_cache(maxsize=4096, typed=True)
def _kind_of(parts: tuple[Part, ...], *values: Any) -> tuple[str, ...]:
    """Thousands of runs share a few machines. 1, 1.0 and True are equal, and are told apart by their type."""
    reduced = (part.reduce(value) for part, value in zip(parts, values, strict=True))
    return tuple(json.dumps(value, sort_keys=True, default=str) for value in reduced)


def same_kind(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """'' if two runs are comparable, else the first difference, as `torch: 2.13 and 2.14`.

    Args:
        a: fingerprint, the worker's environment, case, backend, revision and problem digest, in one mapping.
        b: the same of another run. What is recorded on one side only is a difference.
            A backend to which a part does not matter (torch to NumPy) records it as None.
    """
    for part in PARTS:
        one, other = part.reduce(a.get(part.key)), part.reduce(b.get(part.key))
        if one != other:
            return f"{part.words}: {_words(one)} and {_words(other)}"
    return ""


def environment_digest(environment: Mapping[str, Any]) -> str:
    """A digest over the parts of an environment that make runs comparable: not commit, boot id or canary."""
    return hashlib.sha256("\n".join(kind(environment, MACHINE_PARTS)).encode()).hexdigest()[:16]


def _words(value: Any) -> str:
    return "not recorded" if value is None else str(value)
