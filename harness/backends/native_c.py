"""A training engine in C, built on demand: ours, or the library that the case names."""

from collections.abc import Mapping
from typing import Any

from harness.backends import Backend
from harness.native.compiler import compiler, is_library, no_compiler
from harness.problem import Problem
from harness.spec import Case, Config, DecoderModel
from harness.trainer import Trainer


class NativeC(Backend):
    """Any shared library with the interface of `harness/native/engine.h`."""

    preload = ("harness.backends._native",)

    def unavailable(self) -> str:
        """It needs a C compiler."""
        return "" if compiler() else no_compiler()

    def unavailable_for(self, case: Case) -> str:
        """A library that the case brings ready-made needs none."""
        made = case.library is not None and all(map(is_library, case.library.sources))
        return "" if made else self.unavailable()

    def unsupported(self, case: Case) -> str:
        """Perceptrons, dropout, and numbers other than float32."""
        if not isinstance(case.model, DecoderModel):
            return "computes decoders only, model is an mlp"
        if case.model.decoder.dropout:
            dropout = case.model.decoder.dropout
            return f"draws no random masks, model.decoder.dropout is {dropout:.4g}; expected 0"
        if case.config.dtype != "float32":
            return f"computes in float32 only, config.dtype is {case.config.dtype}"
        return ""

    def configure(self, config: Config) -> Mapping[str, Any]:
        """Nothing to set in this process: an engine is told its threads when it is made."""
        return {
            "device": "cpu",
            "threads": config.threads,
            "dtype": "float32",
            "compiler": " ".join(compiler()),
        }

    def prepare(self, problem: Problem) -> None:
        """Compile."""
        from harness.backends._native import library_of  # noqa: PLC0415 - only where an engine runs

        library_of(problem)

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights."""
        from harness.backends._native import NativeTrainer  # noqa: PLC0415 - only where an engine runs

        return NativeTrainer(problem)
