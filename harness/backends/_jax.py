"""The trainer of the JAX backend: compiled pure functions over weights that are replaced, never written."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from harness.backends._compiling import CompilingTrainer
from harness.model import Array, Batch
from harness.models import jax_model
from harness.models.losses import counted, loss_of
from harness.optimizers import peak_rate
from harness.problem import Problem
from harness.spec import AdamWOptimizer, DecoderModel, MlpModel, Optimizer

Arrays = dict[str, jax.Array]


class Functions(NamedTuple):
    """What XLA compiles, for each shape and dtype once."""

    forward: Any
    total: Any
    gradients: Any


@cache
def functions(model: DecoderModel | MlpModel, sequence: int) -> Functions:
    """The compiled functions of a model; all trainers of one process share them."""
    computed = jax_model(model, sequence)

    def total(weights: Arrays, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        return computed.loss_sum(computed(weights, inputs), targets)

    def share(weights: Arrays, inputs: jax.Array, targets: jax.Array, count: int) -> jax.Array:
        return total(weights, inputs, targets) / count

    return Functions(jax.jit(computed), jax.jit(total), jax.jit(jax.value_and_grad(share)))


@cache
def optimizer(options: Optimizer) -> tuple[Any, Any]:
    """Optax's optimizer of learning rate 1, and its compiled update.

    Weight decay acts on tensors with two or more axes only. For stochastic gradient descent it is added to
    the gradient before momentum, as torch does it.
    """
    if isinstance(options, AdamWOptimizer):
        adamw = options.adamw
        steps = [
            optax.scale_by_adam(*adamw.betas, adamw.eps),
            optax.add_decayed_weights(adamw.weight_decay, mask=_matrices),
        ]
    else:
        sgd = options.sgd
        steps = [optax.add_decayed_weights(sgd.weight_decay, mask=_matrices)]
        steps += [optax.trace(sgd.momentum, nesterov=sgd.nesterov)] if sgd.momentum else []
    chain = optax.chain(*steps)

    def update(weights: Arrays, gradients: Arrays, state: Any, learning_rate: float) -> tuple[Arrays, Any]:
        slopes, state = chain.update(gradients, state, weights)
        moved = jax.tree.map(lambda weight, slope: weight - learning_rate * slope, weights, slopes)
        return moved, state

    return chain, jax.jit(update)


@jax.jit
def clipped(gradients: Arrays, max_norm: float) -> Arrays:
    """All gradients times max_norm / (norm + 1e-6) if that is below 1, as torch's `clip_grad_norm_`."""
    norm = jnp.sqrt(sum(jnp.square(gradient).sum() for gradient in gradients.values()))
    scale = jnp.minimum(1.0, max_norm / (norm + 1e-6))
    return {name: (gradient * scale).astype(gradient.dtype) for name, gradient in gradients.items()}


class JaxTrainer(CompilingTrainer):
    """Weights and gradients are arrays of JAX by name. A step replaces them; nobody else's view changes."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.dtype = jnp.dtype(problem.config.dtype)
        self.epsilon = float(jnp.finfo(self.dtype).eps)
        self.loss_name = loss_of(
            problem.model.decoder if isinstance(problem.model, DecoderModel) else problem.model.mlp
        )
        self.functions = functions(problem.model, problem.config.sequence)
        self.weights: Arrays = {name: self.to_jax(problem.initial[name]) for name in self.names}
        self.held: Arrays = {}
        self.optimizer, self.apply = optimizer(problem.config.optimizer)
        self.memory = self.optimizer.init(self.weights)

    def parameters(self) -> Mapping[str, Array]:
        """Views that stay as they are; float32 for bfloat16, which NumPy lacks."""
        # In the order of the model: functions of JAX give a dict back in that of its keys.
        return {name: to_numpy(self.weights[name]) for name in self.names}

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Take copies of values."""
        self.weights |= {name: self.to_jax(values) for name, values in parameters.items()}

    def logits(self, inputs: Array) -> Array:
        """Outputs of the model."""
        return to_numpy(self.functions.forward(self.weights, inputs))

    def loss(self, batch: Batch) -> float:
        """Mean loss over the counted targets."""
        total = self.functions.total(self.weights, batch.inputs, batch.targets)
        return float(total) / counted(self.loss_name, batch.targets)

    def zero_gradients(self) -> None:
        """Forget the gradients."""
        self.held = {}
        self.events["zero_grad"] += 1

    def backward(self, batch: Batch, total: int) -> float:
        """Forward, loss, backward; gradients add up in `held`."""
        loss, gradients = self.functions.gradients(self.weights, batch.inputs, batch.targets, total)
        self.held = {
            name: self.held[name] + gradient if name in self.held else gradient
            for name, gradient in gradients.items()
        }
        self.events["backward"] += 1
        return float(loss)

    def clip(self) -> None:
        """Scale all gradients by one factor."""
        if self.config.clip_norm is not None:
            self.held = clipped(self.held, self.config.clip_norm)

    def update(self, learning_rate: float) -> None:
        """Let optax step."""
        self.weights, self.memory = self.apply(self.weights, self.held, self.memory, learning_rate)
        jax.block_until_ready(self.weights)  # else a step's time would be that of asking for it
        self.events["update"] += 1

    def warm_optimizer(self) -> None:
        """Compile clipping and the update, on gradients of zero whose result is dropped."""
        zeros = {name: jnp.zeros_like(values) for name, values in self.weights.items()}
        if self.config.clip_norm is not None:
            zeros = clipped(zeros, self.config.clip_norm)
        self.apply(self.weights, zeros, self.memory, peak_rate(self.config.optimizer))

    def optimized(self) -> tuple[str, ...]:
        """All of them: optax takes the whole dict of weights."""
        return self.names

    def weight_arrays(self) -> Sequence[Array]:
        """Flat views."""
        return [to_numpy(self.weights[name]).reshape(-1) for name in self.names]

    def gradient_arrays(self) -> Sequence[Array | None]:
        """Flat views; None where no gradient was computed."""
        return [to_numpy(self.held[name]).reshape(-1) if name in self.held else None for name in self.names]

    def take_gradients(self) -> Arrays:
        """Set the gradients aside."""
        kept, self.held = self.held, {}
        return kept

    def put_gradients(self, kept: Arrays) -> None:
        """Put them back."""
        self.held = kept

    def state(self) -> Any:
        """Weights, optimizer state and position: arrays are never written, so that none is copied."""
        return dict(self.weights), self.memory, self.position

    def restore(self, state: Any) -> None:
        """Return to a state."""
        weights, self.memory, self.position = state
        self.weights = dict(weights)

    def to_jax(self, values: Array) -> jax.Array:
        """A copy in the trainer's dtype."""
        return jnp.array(values, self.dtype)


def _matrices(weights: Arrays) -> dict[str, bool]:
    return {name: values.ndim >= 2 for name, values in weights.items()}


def to_numpy(values: jax.Array) -> Array:
    """A view, read-only; a float32 copy for bfloat16."""
    array: Array = np.asarray(values.astype(jnp.float32) if values.dtype == jnp.bfloat16 else values)
    return array
