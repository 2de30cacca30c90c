"""The program's own evaluation, put to the trained model and to the same weights in random order."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from harness.watching.hub import Hub
from harness.watching.named import function_of

SHUFFLES = 3
"""How often the weights are randomised; the mean counts, for one shuffle may be lucky."""


def score(hub: Hub, named: str, seed: int) -> Mapping[str, Any]:
    """The answer that the probe `score` gives of computed models.

    trained, randomised: shares of right answers; chance: what the evaluation says of it, or 0; told and
    told_randomised: all numbers that it returned.

    Raises:
        ValueError: there is nothing to evaluate, or the evaluation does not return a share.
    """
    evaluate, model = function_of(named), _trained(hub)
    training, weights = model.training, [each.detach().clone() for each in model.parameters()]
    told = _told(evaluate(model), named)
    shuffled = [
        _told(_with_shuffled(model, weights, evaluate, seed + number), named) for number in range(SHUFFLES)
    ]
    _put(model, weights)
    model.train(training)
    return {
        "trained": told["score"],
        "randomised": sum(each["score"] for each in shuffled) / SHUFFLES,
        "chance": told.get("chance", 0.0),
        "told": told,
        "told_randomised": shuffled[0],
    }


def _trained(hub: Hub) -> Any:
    """The model that was trained: of those within each other, the outermost; of several, the largest."""
    models = hub.trained_models()
    inner = {id(part) for model in models for part in list(model.modules())[1:]}
    outer = [model for model in models if id(model) not in inner]
    if not outer:
        raise ValueError("no model was trained that could be evaluated")
    return max(outer, key=lambda model: sum(each.numel() for each in model.parameters()))


def _with_shuffled(model: Any, weights: list[Any], evaluate: Callable[..., Any], seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    order = [torch.randperm(each.numel(), generator=generator).to(each.device) for each in weights]
    _put(model, [each.flatten()[at].reshape(each.shape) for each, at in zip(weights, order, strict=True)])
    return evaluate(model)


def _put(model: Any, weights: list[Any]) -> None:
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), weights, strict=True):
            parameter.copy_(values)


def _told(value: Any, named: str) -> dict[str, float]:
    """A share, or a mapping of names to numbers with one of the names of a score in it."""
    numbers = dict(value) if isinstance(value, Mapping) else {"score": value}
    wanted = f"{named.rpartition('/')[2]} returned {value!r:.60}; expected a share, 0 to 1, or one as 'score'"
    try:
        told = {str(name): float(number) for name, number in numbers.items()}
    except (TypeError, ValueError):
        raise ValueError(wanted) from None
    told.setdefault("score", told.get("accuracy", math.nan))
    if not 0 <= told["score"] <= 1:
        raise ValueError(wanted)
    return told
