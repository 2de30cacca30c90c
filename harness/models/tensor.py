"""What a parameter is before it has values: its name, its shape, and how its values are drawn."""

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from harness.model import Float64


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One parameter. `std` is the standard deviation of a normal start, and 0 for the other two."""

    name: str
    shape: tuple[int, ...]
    init: Literal["normal", "zeros", "ones"] = "normal"
    std: float = 0.0

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def linear(name: str, outputs: int, inputs: int, std: float, *, bias: bool) -> tuple[Tensor, ...]:
    """The parameters of y = x W^T + b: weight (outputs, inputs), normal; bias (outputs,), zeros."""
    weight = Tensor(name=f"{name}.weight", shape=(outputs, inputs), std=std)
    return (weight, Tensor(name=f"{name}.bias", shape=(outputs,), init="zeros")) if bias else (weight,)


def initial(tensor: Tensor, seed: int) -> Float64:
    """The starting values of one tensor, float64.

    They depend on the seed and the tensor's name and shape only: any one tensor can be made without the
    others, and adding one changes no other. Generator: PCG64, seeded by `SeedSequence(seed, spawn_key=name)`.
    """
    if tensor.init == "zeros":
        return np.zeros(tensor.shape)
    if tensor.init == "ones":
        return np.ones(tensor.shape)
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(tensor.name.encode()))
    values = np.random.Generator(np.random.PCG64(sequence)).standard_normal(tensor.shape)
    values *= tensor.std
    return values
