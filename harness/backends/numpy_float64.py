"""The reference: forward and backward written out in NumPy, float64, whatever the case's dtype."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from harness.backends import Backend
from harness.model import Array, Batch, Float64
from harness.models import numpy_model
from harness.optimizers import clip, rule
from harness.problem import Problem
from harness.spec import Case, Config, DecoderModel
from harness.training import LoopTrainer


class NumpyFloat64(Backend):
    """Plain NumPy; the slowest and the most trusted."""

    reference: ClassVar[bool] = True

    def unsupported(self, case: Case) -> str:
        """Dropout: its random masks would be others than torch's."""
        model = case.model
        if isinstance(model, DecoderModel) and model.decoder.dropout:
            return f"draws no random masks, model.decoder.dropout is {model.decoder.dropout:.4g}; expected 0"
        return ""

    def configure(self, config: Config) -> Mapping[str, Any]:
        """Nothing to set: the worker limits the threads of NumPy's BLAS."""
        return {"device": "cpu", "threads": config.threads, "dtype": "float64"}

    def build(self, problem: Problem) -> "NumpyTrainer":
        """A trainer that holds the problem's starting weights."""
        return NumpyTrainer(problem)


class NumpyTrainer(LoopTrainer):
    """Weights and gradients are float64 arrays by name."""

    epsilon = float(np.finfo(np.float64).eps)
    gradients_part: ClassVar[str] = "backward"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.model = numpy_model(problem.model, problem.config.sequence)
        self.weights = {name: np.array(problem.initial[name], np.float64) for name in self.names}
        self.held: dict[str, Float64] = {}
        self.rule = rule(problem.config.optimizer)

    def parameters(self) -> Mapping[str, Array]:
        """Live arrays by name."""
        return self.weights

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Copy values in."""
        for name, values in parameters.items():
            np.copyto(self.weights[name], values)

    def logits(self, inputs: Array) -> Array:
        """Outputs of the model."""
        return self.model.forward(self.weights, inputs)[0]

    def loss(self, batch: Batch) -> float:
        """Mean loss over the counted targets."""
        total, count, _ = self.model.loss_sum(self.logits(batch.inputs), batch.targets)
        return total / count

    def told(self, batch: Batch) -> tuple[Array, float, Mapping[str, Array]]:
        """What `logits`, `loss` and `gradients` give of a batch, from one pass instead of three."""
        outputs, tape = self.model.forward(self.weights, batch.inputs)
        total, count, d_outputs = self.model.loss_sum(outputs, batch.targets)
        gradients = self.model.backward(self.weights, tape, d_outputs / count)
        # In the order of the weights, like all others: to compare what lies across takes five times as long.
        return outputs, total / count, {name: np.ascontiguousarray(each) for name, each in gradients.items()}

    def zero_gradients(self) -> None:
        """Forget the gradients."""
        self.held = {}
        self.events["zero_grad"] += 1

    def backward(self, batch: Batch, total: int) -> float:
        """Forward, loss, backward; gradients add up in `held`."""
        outputs, tape = self.model.forward(self.weights, batch.inputs)
        loss, _, d_outputs = self.model.loss_sum(outputs, batch.targets)
        d_outputs /= total
        self.clock.end("forward")
        for name, gradient in self.model.backward(self.weights, tape, d_outputs).items():
            self.held[name] = self.held[name] + gradient if name in self.held else gradient
        self.events["backward"] += 1
        return loss / total

    def clip(self) -> None:
        """Scale all gradients by one factor."""
        if self.config.clip_norm is not None:
            clip(self.held, self.config.clip_norm)

    def update(self, learning_rate: float) -> None:
        """Apply the optimizer's rule in place."""
        for name, gradient in self.held.items():
            self.rule.update(name, self.weights[name], gradient, learning_rate)
        self.events["update"] += 1

    def optimized(self) -> tuple[str, ...]:
        """All of them: the rule is applied to whatever has a gradient."""
        return self.names

    def weight_arrays(self) -> Sequence[Array]:
        """Flat views."""
        return [self.weights[name].reshape(-1) for name in self.names]

    def gradient_arrays(self) -> Sequence[Array | None]:
        """Flat views; None where no gradient was computed."""
        return [self.held[name].reshape(-1) if name in self.held else None for name in self.names]

    def take_gradients(self) -> dict[str, Float64]:
        """Set the gradients aside."""
        kept, self.held = self.held, {}
        return kept

    def put_gradients(self, kept: dict[str, Float64]) -> None:
        """Put them back."""
        self.held = kept

    def state(self) -> Any:
        """Weights, optimizer state and position, copied."""
        weights = {name: values.copy() for name, values in self.weights.items()}
        return weights, self.rule.state(), self.position

    def restore(self, state: Any) -> None:
        """Return to a state."""
        weights, rule_state, self.position = state
        self.load(weights)
        self.rule.restore(rule_state)
