"""Calls an engine: any shared library that exports the functions of `engine.h`, checked before it is used."""

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model import Array, BrokenError, HarnessError
from harness.models import Tensor

ABI = 1
"""The version of `engine.h` that is spoken here."""
MESSAGE = 512
"""Bytes of an error's text from `engine_create`."""

Float32 = NDArray[np.float32]

_INT, _LONG, _REAL, _POINTER, _TEXT = (
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_double,
    ctypes.c_void_p,
    ctypes.c_char_p,
)
Signatures = dict[str, tuple[Any, tuple[Any, ...]]]
"""Result and arguments by a function's name without `engine_`."""

REQUIRED: Signatures = {
    "abi": (_INT, ()),
    "create": (_POINTER, (_TEXT, _POINTER, ctypes.c_size_t)),
    "destroy": (None, (_POINTER,)),
    "error": (_TEXT, (_POINTER,)),
    "parameter_count": (_LONG, (_POINTER,)),
    "parameter_at": (_INT, (_POINTER, _LONG, _POINTER)),
    "init_for_training": (_INT, (_POINTER,)),
    "forward": (_INT, (_POINTER, _POINTER, _LONG, _LONG, _POINTER)),
    "loss": (_INT, (_POINTER, _POINTER, _POINTER, _LONG, _LONG, _POINTER, _POINTER)),
    "zero_gradients": (_INT, (_POINTER,)),
    "backward": (_INT, (_POINTER, _POINTER, _POINTER, _LONG, _LONG, _LONG, _POINTER)),
    "clip": (_INT, (_POINTER, _REAL, _POINTER)),
    "update": (_INT, (_POINTER, _REAL)),
}
OPTIONAL: Signatures = {
    "infer": (_INT, (_POINTER, _POINTER, _LONG, _LONG, _POINTER)),
    "state_size": (_LONG, (_POINTER,)),
    "state_save": (_INT, (_POINTER, _POINTER)),
    "state_restore": (_INT, (_POINTER, _POINTER, _LONG)),
    "save": (_INT, (_POINTER, _TEXT)),
    "load": (_INT, (_POINTER, _TEXT)),
    "generate": (_INT, (_POINTER, _POINTER, _LONG, _LONG, _LONG, _REAL, ctypes.c_uint64, _POINTER)),
    "memory": (_INT, (_POINTER, _POINTER)),
    "time": (_INT, (_POINTER, _POINTER)),
}


class _Parameter(ctypes.Structure):
    _fields_ = (
        ("name", _TEXT),
        ("axes", _LONG),
        ("shape", _LONG * 2),
        ("weights", _POINTER),
        ("gradients", _POINTER),
    )


class _Memory(ctypes.Structure):
    _fields_ = tuple(
        (part, _LONG) for part in ("weights", "gradients", "optimizer", "activations", "shared_gradient")
    )


class _Time(ctypes.Structure):
    _fields_ = tuple(
        (part, _REAL) for part in ("zero_gradients", "forward", "loss", "backward", "clip", "update")
    )


@dataclass(frozen=True, slots=True)
class Library:
    """A loaded library: its functions by their names without `engine_`. who: what messages call it."""

    who: str
    functions: dict[str, Any]

    @classmethod
    def open(cls, path: Path, who: str) -> "Library":
        """Load a library and see that it has what it must.

        Raises:
            HarnessError: it is no library, lacks a function, or was built for another version of engine.h.
        """
        try:
            loaded = ctypes.CDLL(str(path))
        except OSError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise HarnessError(f"{who}: is no shared library that can be loaded here: {reason}") from error
        abi = _functions(loaded, who, {"abi": REQUIRED["abi"]})["abi"]
        if abi() != ABI:  # first, as another version may have other functions
            raise HarnessError(f"{who}: speaks version {abi()} of engine.h, expected {ABI}; build it again")
        return cls(who, _functions(loaded, who, REQUIRED | OPTIONAL))


def _functions(loaded: ctypes.CDLL, who: str, wanted: Signatures) -> dict[str, Any]:
    found = {}
    for name, (result, arguments) in wanted.items():
        function = getattr(loaded, f"engine_{name}", None)
        if function is not None:
            function.restype, function.argtypes = result, arguments
            found[name] = function
        elif name in REQUIRED:
            raise HarnessError(f"{who}: lacks the function 'engine_{name}', which engine.h requires")
    return found


class _Handle:
    """A live engine; it is destroyed when nothing, no view of its memory either, refers to it any more."""

    def __init__(self, address: int, destroy: Any) -> None:
        self.address = address
        weakref.finalize(self, destroy, address)


class Engine:
    """One engine of a library, with views of its memory.

    weights, gradients: by index, in the order of the table; a gradient is None where there is none.
    """

    def __init__(self, library: Library, config: str, tensors: Sequence[Tensor]) -> None:
        """Create an engine and make it ready for training.

        Raises:
            HarnessError: it refuses the config, or its parameters are not those of the description.
        """
        self.library = library
        message = ctypes.create_string_buffer(MESSAGE)
        address = library.functions["create"](config.encode(), message, MESSAGE)
        if not address:
            why = message.value.decode(errors="replace") or "refuses to start and does not say why"
            raise HarnessError(f"{library.who}: {why}")
        self.handle = _Handle(address, library.functions["destroy"])
        self._check_table(tensors)
        self.call("init_for_training")
        rows = [self._row(index) for index in range(len(tensors))]
        sizes = [tensor.size for tensor in tensors]
        self.weights = [self._required(row, size) for row, size in zip(rows, sizes, strict=True)]
        self.gradients = [self._view(row.gradients, size) for row, size in zip(rows, sizes, strict=True)]

    def has(self, function: str) -> bool:
        """Whether the library has an optional function."""
        return function in self.library.functions

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function that may fail.

        Raises:
            NotImplementedError: the library does not have it.
            BrokenError: it failed, with the engine's own reason.
        """
        called = self.library.functions.get(function)
        if called is None:
            raise NotImplementedError(f"{self.library.who} has no engine_{function}")
        if called(self.handle.address, *arguments):
            raise BrokenError(f"{self.library.who}: {self._error()}")

    def logits(self, function: str, tokens: Array, vocabulary: int) -> Float32:
        """(B, L, V) of tokens (B, L) by `forward` or `infer`."""
        tokens = np.ascontiguousarray(tokens, np.int64)
        found = np.empty((*tokens.shape, vocabulary), np.float32)
        self.call(function, tokens.ctypes.data, *tokens.shape, found.ctypes.data)
        return found

    def loss(self, tokens: Array, targets: Array) -> tuple[float, int]:
        """Sum over the counted targets, and their number."""
        total, counted = _REAL(), _LONG()
        tokens, targets = np.ascontiguousarray(tokens, np.int64), np.ascontiguousarray(targets, np.int64)
        where = tokens.ctypes.data, targets.ctypes.data, *tokens.shape
        self.call("loss", *where, ctypes.byref(total), ctypes.byref(counted))
        return total.value, counted.value

    def backward(self, tokens: Array, targets: Array, total: int) -> float:
        """Add gradients; returns the summed loss over `total`."""
        loss = _REAL()
        tokens, targets = np.ascontiguousarray(tokens, np.int64), np.ascontiguousarray(targets, np.int64)
        where = tokens.ctypes.data, targets.ctypes.data, *tokens.shape
        self.call("backward", *where, total, ctypes.byref(loss))
        return loss.value

    def clip(self, max_norm: float) -> float:
        """The norm before."""
        norm = _REAL()
        self.call("clip", max_norm, ctypes.byref(norm))
        return norm.value

    def state(self) -> bytes:
        """What the optimizer remembers, copied."""
        if not self.has("state_size"):
            raise NotImplementedError(f"{self.library.who} has no engine_state_size")
        kept = ctypes.create_string_buffer(self.library.functions["state_size"](self.handle.address))
        self.call("state_save", kept)
        return kept.raw

    def restore(self, state: bytes) -> None:
        """Return to a `state`."""
        self.call("state_restore", state, len(state))

    def generate(
        self, prompt: Array, count: int, *, top_k: int = 1, temperature: float = 1.0, seed: int = 0
    ) -> Array:
        """The tokens (count,) that follow a prompt (L,); top_k 1 is greedy."""
        prompt, found = np.ascontiguousarray(prompt, np.int64), np.empty(count, np.int64)
        how = prompt.ctypes.data, len(prompt), count, top_k, temperature, seed
        self.call("generate", *how, found.ctypes.data)
        return found

    def memory(self) -> dict[str, int]:
        """Bytes by part: weights, gradients, optimizer, activations, shared_gradient."""
        return self._told("memory", _Memory())

    def seconds(self) -> dict[str, float]:
        """Seconds of training so far by part: zero_gradients, forward, loss, backward, clip, update."""
        return self._told("time", _Time())

    def _told(self, function: str, parts: Any) -> dict[str, Any]:
        self.call(function, ctypes.byref(parts))
        return {field[0]: getattr(parts, field[0]) for field in parts._fields_}

    def _error(self) -> str:
        text = self.library.functions["error"](self.handle.address)
        return " ".join(text.decode(errors="replace").split()) if text else "failed and does not say why"

    def _row(self, index: int) -> _Parameter:
        row = _Parameter()
        self.call("parameter_at", index, ctypes.byref(row))
        return row

    def _check_table(self, tensors: Sequence[Tensor]) -> None:
        count = int(self.library.functions["parameter_count"](self.handle.address))
        if count != len(tensors):
            raise HarnessError(f"{self.library.who}: has {count} tensors, its description has {len(tensors)}")
        for index, tensor in enumerate(tensors):
            row = self._row(index)
            found = (row.name or b"").decode(errors="replace"), tuple(row.shape[: max(0, min(row.axes, 2))])
            if found != (tensor.name, tensor.shape):
                expected = f"'{tensor.name}' {tensor.shape}"
                raise HarnessError(
                    f"{self.library.who}: tensor {index} is '{found[0]}' {found[1]}, expected {expected}"
                )

    def _required(self, row: _Parameter, size: int) -> Float32:
        view = self._view(row.weights, size)
        if view is None:
            name = row.name.decode(errors="replace")
            raise HarnessError(f"{self.library.who}: has no weights for '{name}', expected a pointer to them")
        return view

    def _view(self, address: int | None, size: int) -> Float32 | None:
        """A flat view that keeps the engine alive; None for a null pointer."""
        if not address:
            return None
        memory: Any = (ctypes.c_float * size).from_address(address)
        memory.owner = self.handle  # so that the memory outlives the view
        view: Float32 = np.frombuffer(memory, np.float32)
        return view
