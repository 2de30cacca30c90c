"""What one call of a loss function is given: ranges, sums, shapes, and how often each class comes."""

import math
from typing import Any

import numpy as np

from harness.observers._blind import KINDS, blind, remember
from harness.observers._scores import score
from harness.observers._weights import weights_of
from harness.watching.events import Loss

MOST_CLASSES = 100_000
NEAR = 1e-3
"""Sums that are one but for rounding."""


def counted_target(loss: Loss) -> Any:
    """The target, with -100 in place of what is left out of the loss."""
    target, left_out = loss.target.detach(), loss.options.get("ignore_index", -100)
    return (
        target if target.is_floating_point() or left_out < 0 else target.masked_fill(target == left_out, -100)
    )


def look(site: Any, loss: Loss) -> None:
    """One call of a loss function: its site counts what was given."""
    target = counted_target(loss)
    site.smoothed = float(loss.options.get("label_smoothing", 0.0))
    site.weights = weights_of(loss)
    site.looked += 1
    site.target_gradients += loss.target.requires_grad
    values = loss.predicted.detach().float()
    if not values.numel():
        return
    low, high = float(values.min()), float(values.max())
    site.least_input, site.largest_input = min(site.least_input, low), max(site.largest_input, high)
    site.elements += values.numel()
    site.unit_range += low >= 0 and high <= 1
    site.rectified += low == 0 and float((values == 0).float().mean()) > 0.1
    if target.is_floating_point():
        _numbers(site, values, loss, (low, high))
    elif site.kind in ("cross_entropy", "nll_loss"):
        _classes(site, values, target, (low, high))
        scored = score(site, values, target) if site.kind == "cross_entropy" else None
        site.scores += [scored] if scored is not None else []


def _numbers(site: Any, values: Any, loss: Loss, ends: tuple[float, float]) -> None:
    target = loss.target.detach().float()
    if values.shape != target.shape and site.kind not in ("cross_entropy", "kl_div"):
        _broadcast(site, values, target)
        return
    site.identical += bool((values == target).all())
    site.constant_targets += bool((target == target.reshape(-1)[0]).all()) and target.numel() > 1
    if site.kind in ("cross_entropy", "kl_div"):
        _rows(site, values, 1 if values.dim() > 1 else 0, ends)
        return
    rows = target.reshape(len(target), -1).double() if target.dim() else target.reshape(1, 1).double()
    if site.kind in KINDS and site.reduction == "mean" and site.values:
        site.blind.append(blind(site, loss, rows))
        site.gains.append(site.blind[-1] - site.values[-1])
    remember(site, loss, rows)
    if site.sums is None:
        site.sums, site.squares = rows.sum(0).cpu().numpy(), (rows**2).sum(0).cpu().numpy()
        site.rows = len(rows)
    elif rows.shape[1] == len(site.sums):
        site.sums, site.squares = (
            site.sums + rows.sum(0).cpu().numpy(),
            site.squares + (rows**2).sum(0).cpu().numpy(),
        )
        site.rows += len(rows)
    if values.dim() >= 1 and len(values) > 1:
        site.multi_row += 1
        site.constant_rows += _alike(values.reshape(len(values), -1), ends)


def _broadcast(site: Any, values: Any, target: Any) -> None:
    """Shapes that differ. One value for all is no mistake; each with every other is, unless axes say so."""
    import torch  # noqa: PLC0415 - only where torch runs

    whole = torch.broadcast_shapes(values.shape, target.shape).numel()
    every = whole > max(values.numel(), target.numel())
    if every and values.dim() != target.dim():
        site.broadcast = f"{tuple(values.shape)} and {tuple(target.shape)}"
    elif every or values.numel() < target.numel():
        site.spread_out = f"{tuple(values.shape)} and {tuple(target.shape)}"


def _rows(site: Any, values: Any, axis: int, ends: tuple[float, float]) -> None:
    """Are they probabilities, logarithms of such, or all alike? ends: the least value and the largest."""
    low, high = ends
    if site.kind == "kl_div" and values.dim() > 2:
        axis = values.dim() - 1  # it takes any
    site.positive += high > NEAR
    site.probabilities += low >= 0 and _one_each(values.sum(axis))
    site.log_probabilities += high <= NEAR and _one_each(values.exp().sum(axis))
    site.uniform += float((values.amax(axis) - values.amin(axis)).max()) < 1e-5
    if values.dim() > 1 and len(values) > 1:
        site.multi_row += 1
        site.constant_rows += _alike(values.movedim(axis, -1).reshape(-1, values.shape[axis]), ends)


def _one_each(total: Any) -> bool:
    return float((total - 1).abs().max()) < NEAR


def _alike(rows: Any, ends: tuple[float, float]) -> bool:
    """Whether rows (B, N) differ by no more than rounding; two that do tell it at once."""
    near = 1e-6 * max(1e-6, *(abs(end) for end in ends))
    pair = float((rows[0] - rows[1]).abs().max())  # with such a deviation, no two rows are farther apart
    return pair <= near * math.sqrt(2 * len(rows)) and float(rows.std(0).max()) <= near


def _classes(site: Any, values: Any, target: Any, ends: tuple[float, float]) -> None:
    axis = 1 if values.dim() > 1 else 0
    site.classes = int(values.shape[axis])
    _rows(site, values, axis, ends)
    flat = target.reshape(-1)
    counted = flat[flat >= 0]
    site.targets += flat.numel()
    site.ignored += flat.numel() - counted.numel()
    if not counted.numel() or site.classes > MOST_CLASSES:
        return
    found, counts = np.unique(counted.cpu().numpy(), return_counts=True)
    site.distinct += len(found) == counted.numel() >= 4
    if len(found) == 1 and counted.numel() >= 4:
        site.single_class += 1
        site.single_targets += counted.numel()
        if site.last_single == site.calls - 1:
            site.single_pairs += 1
            site.class_turns += int(found[0]) != site.last_class
        site.last_single, site.last_class = site.calls, int(found[0])
    for value, count in zip(found.tolist(), counts.tolist(), strict=True):
        site.histogram[value] = site.histogram.get(value, 0) + count


def alike_at(inputs: Any, runs: Any, width: int) -> bool:
    """Whether inputs are all alike where targets end in a run of one token; its first place may differ."""
    import torch  # noqa: PLC0415 - only where torch runs

    if len(inputs) != len(runs) or abs(inputs.shape[1] - width) > 1:
        return False
    places = torch.arange(inputs.shape[1], device=inputs.device)
    inside = places[None, :] >= (width - runs + 1)[:, None].to(inputs.device)
    return bool(inside.any()) and inputs[inside].unique().numel() == 1
