"""Values in JSON's own types: for our own files (NaN allowed) and for everybody (strict)."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np


def dumps(value: Any) -> str:
    """One line of JSON for our own reading; NaN and infinities as Python's `json` writes and reads them."""
    return json.dumps(plain(value), separators=(",", ":"))


def digest(value: Any) -> str:
    """32 hexadecimal digits of SHA-256 over a JSON value; the order of keys does not matter."""
    text = json.dumps(plain(value), separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def loads(text: str) -> Any:
    """What `dumps` wrote."""
    return json.loads(text)


def plain(value: Any) -> Any:
    """A value in JSON's own types: NumPy numbers and arrays, tuples and enumerations converted.

    What JSON cannot say becomes its `repr`: an odd answer of one probe must not cost the whole run.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else repr(value)


def strict(value: Any) -> Any:
    """`plain`, with non-finite numbers as the strings 'nan', 'inf' and '-inf', for any JSON parser."""
    return _spelled(plain(value))


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spelled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_spelled(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
