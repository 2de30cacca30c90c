"""The trainer that all torch backends share. Imports torch; only a backend that runs does so."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from harness.model import Array, Batch
from harness.models import torch_model
from harness.problem import Problem
from harness.spec import AdamWOptimizer, Config
from harness.training import LoopTrainer


class TorchTrainer(LoopTrainer):
    """Weights are leaf tensors by name, gradients live in `.grad`, dropout draws from torch's generator.

    device: where all of it lies.
    """

    device: ClassVar[str] = "cpu"
    gradients_part: ClassVar[str] = "backward"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        dtype: torch.dtype = getattr(torch, problem.config.dtype)
        self.epsilon = float(torch.finfo(dtype).eps)
        # So that every fresh trainer draws the same masks. `torch.manual_seed` would also format a stack
        # trace, for a CUDA that may start later: a millisecond a trainer.
        torch.default_generator.manual_seed(problem.config.seed)
        self.model = torch_model(problem.model, problem.config.sequence)
        place: dict[str, Any] = {"dtype": dtype, "device": self.device}
        self.tensors: dict[str, torch.Tensor] = {
            name: torch.nn.Parameter(torch.tensor(problem.initial[name], **place)) for name in self.names
        }
        self.optimizer = make_optimizer(problem.config, list(self.tensors.values()))
        # torch updates in place, so one view serves for the whole training; NumPy has no bfloat16 to view.
        viewable = dtype is not torch.bfloat16 and self.device == "cpu"
        self.views = (
            [to_numpy(tensor.detach()).reshape(-1) for tensor in self.tensors.values()] if viewable else None
        )

    def parameters(self) -> Mapping[str, Array]:
        """Views of live memory; copies from another device, and for bfloat16, which NumPy lacks, float32."""
        return {name: to_numpy(tensor.detach()) for name, tensor in self.tensors.items()}

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Copy values in."""
        for name, values in parameters.items():
            self.tensors[name].data.copy_(torch.from_numpy(values))

    def logits(self, inputs: Array) -> Array:
        """Outputs of the model, without gradients."""
        with torch.no_grad():
            return to_numpy(self.forward(self.to_torch(inputs)))

    def loss(self, batch: Batch) -> float:
        """Mean loss over the counted targets, without gradients."""
        with torch.no_grad():
            total, count = self._loss_sum(batch)
        return float(total) / count

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(iter(self.tensors.values())).dtype

    def train(self, on: bool = True) -> None:
        """Training mode, in which dropout acts, or evaluation mode."""
        super().train(on)
        self.model.training = on

    def gradients(self, batch: Batch) -> Mapping[str, Array]:
        """Gradients of a batch, under the masks that the next step will draw."""
        random = self.random_state()
        try:
            return super().gradients(batch)
        finally:
            self.set_random_state(random)

    def zero_gradients(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()
        self.events["zero_grad"] += 1

    def backward(self, batch: Batch, total: int) -> float:
        """Forward, loss, backward; gradients add up in `.grad`."""
        loss = self._loss_sum(batch)[0] / total
        self.clock.end("forward")
        loss.backward()
        self.events["backward"] += 1
        return float(loss.detach())

    def clip(self) -> None:
        """Scale all gradients by one factor."""
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.tensors.values(), self.config.clip_norm)

    def update(self, learning_rate: float) -> None:
        """Let torch's optimizer step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.events["update"] += 1

    def optimized(self) -> tuple[str, ...]:
        """Names of the tensors in the optimizer's groups, by identity."""
        held = {id(tensor) for group in self.optimizer.param_groups for tensor in group["params"]}
        return tuple(name for name, tensor in self.tensors.items() if id(tensor) in held)

    def weight_arrays(self) -> Sequence[Array]:
        """Flat views, or copies where `parameters` gives copies."""
        return self.views or [to_numpy(tensor.detach()).reshape(-1) for tensor in self.tensors.values()]

    def gradient_arrays(self) -> Sequence[Array | None]:
        """Flat views, or copies as for weights; None where autograd left none."""
        gradients = [tensor.grad for tensor in self.tensors.values()]
        if self.views is None:
            return [None if gradient is None else to_numpy(gradient).reshape(-1) for gradient in gradients]
        return [None if gradient is None else gradient.numpy().reshape(-1) for gradient in gradients]

    def take_gradients(self) -> list[torch.Tensor | None]:
        """Set the gradients aside."""
        kept = [tensor.grad for tensor in self.tensors.values()]
        for tensor in self.tensors.values():
            tensor.grad = None
        return kept

    def put_gradients(self, kept: list[torch.Tensor | None]) -> None:
        """Put them back."""
        for tensor, gradient in zip(self.tensors.values(), kept, strict=True):
            tensor.grad = gradient

    def state(self) -> Any:
        """Weights, optimizer state, position and random state, copied."""
        weights = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        return weights, copy.deepcopy(self.optimizer.state_dict()), self.position, self.random_state()

    def restore(self, state: Any) -> None:
        """Return to a state."""
        weights, optimizer, self.position, random = state
        for name, values in weights.items():
            self.tensors[name].data.copy_(values)
        self.optimizer.load_state_dict(copy.deepcopy(optimizer))
        self.set_random_state(random)

    def random_state(self) -> torch.Tensor:
        """The state of the generator that dropout draws from."""
        return torch.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        """Return to a `random_state`."""
        torch.set_rng_state(state)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs of the model for inputs on the device."""
        return self.model(self.tensors, inputs)

    def to_torch(self, values: Array) -> torch.Tensor:
        """Tokens stay integers; real numbers take the model's dtype."""
        tensor = torch.from_numpy(values)
        return tensor.to(self.device, tensor.dtype if values.dtype.kind == "i" else self.dtype)

    def _loss_sum(self, batch: Batch) -> tuple[torch.Tensor, int]:
        outputs = self.forward(self.to_torch(batch.inputs))
        return self.model.loss_sum(outputs, self.to_torch(batch.targets))


def make_optimizer(config: Config, tensors: "list[torch.Tensor]") -> torch.optim.Optimizer:
    """PyTorch's optimizer; weight decay acts on tensors with two or more axes only."""
    optimizer = config.optimizer
    options = optimizer.adamw if isinstance(optimizer, AdamWOptimizer) else optimizer.sgd
    groups: list[dict[str, Any]] = [
        {"params": [tensor for tensor in tensors if tensor.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [tensor for tensor in tensors if tensor.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if isinstance(optimizer, AdamWOptimizer):
        adamw = optimizer.adamw
        return torch.optim.AdamW(groups, lr=adamw.lr, betas=adamw.betas, eps=adamw.eps)
    sgd = optimizer.sgd
    return torch.optim.SGD(groups, lr=sgd.lr, momentum=sgd.momentum, nesterov=sgd.nesterov)


def to_numpy(tensor: torch.Tensor) -> Array:
    """A view where NumPy knows the dtype and can reach the memory, else a copy; bfloat16 becomes float32."""
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).cpu().numpy()
    return array
