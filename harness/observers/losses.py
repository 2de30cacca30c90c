"""What loss functions are given: is it what such a function expects, and do predictions beat chance?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.observers._chance import below, chance, falling
from harness.observers._given import NEAR, alike_at, counted_target, look
from harness.observers._history import leaves, made_by, scrambled, teaches
from harness.observers._scores import Score, told_scores
from harness.observers._weights import favoured
from harness.watching.events import Call, Loss
from harness.watching.places import place

MOST_ELEMENTS = 1 << 20
"""Larger inputs are not looked at closely."""
MOST_TOLD = 8
CLOSELY = 40
"""Calls in which padding is looked for."""


@dataclass(slots=True)
class _Site:
    """One call of a loss function in the program's text.

    Counts are of calls that were looked at closely: with inputs in [0, 1], rows that sum to one, and so on.
    """

    kind: str
    where: str
    training: bool
    reduction: str = "mean"
    smoothed: float = 0.0
    weights: Any = None
    calls: int = 0
    looked: int = 0
    unit_range: int = 0
    probabilities: int = 0
    log_probabilities: int = 0
    rectified: int = 0
    broadcast: str = ""
    identical: int = 0
    constant_targets: int = 0
    target_gradients: int = 0
    uniform: int = 0
    constant_rows: int = 0
    elements: int = 0
    classes: int = 0
    multi_row: int = 0
    ignored: int = 0
    targets: int = 0
    least_input: float = math.inf
    largest_input: float = -math.inf
    histogram: dict[int, int] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    sums: Any = None
    squares: Any = None
    recent: Any = None
    blind: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    rows: int = 0
    same_target_runs: int = 0
    single_class: int = 0
    single_targets: int = 0
    class_turns: int = 0
    last_class: int = -1
    last_single: int = -1
    single_pairs: int = 0
    distinct: int = 0
    positive: int = 0
    made_by: dict[str, int] = field(default_factory=dict)
    spread_out: str = ""
    padded_looked: int = 0
    padded: int = 0
    padded_inputs: int = 0
    padding_share: float = 0.0
    padding_token: int = -1
    target_apart: int = 0
    target_parameter: str = ""
    fresh: bool = False
    least_ratio: float = math.inf
    largest_ratio: float = -math.inf
    scores: list[Score] = field(default_factory=list)


class Losses(Observer):
    """Looks at the inputs of the losses of `torch.nn.functional`."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.sites: dict[tuple[str, str, bool], _Site] = {}
        self.outer: list[dict[str, str]] = []
        self.rows = 0
        self.given: list[Any] = []
        self.depth = 0
        self.apart: set[int] = set()
        self.teaches = False
        self.differences: list[Any] = []
        self.scrambled: list[dict[str, str]] = []
        self.predicting: set[int] = set()
        self.softmax_over_batch, self.softmax_place = 0, ""

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """How many samples does a model get, and is one at work?"""
        from harness.watching.tensors import is_tokens  # noqa: PLC0415 - brings torch

        del hub, module
        self.depth = depth + 1
        if depth == 0:
            first = next((each for each in args if getattr(each, "ndim", 0)), None)
            self.rows = 0 if first is None else len(first)
            self.given = [each for each in args if is_tokens(each)]

    def called(self, hub: Any, call: Call) -> None:
        """It is done."""
        del hub
        self.depth = call.depth

    def subtracted(self, hub: Any, one: Any, other: Any, result: Any) -> None:
        """A difference outside of all models, one side learned: shapes (B, 1) and (B,) give (B, B)."""
        del hub
        if not self.depth and one.requires_grad != other.requires_grad and one.shape == other.shape:
            self.differences = [*self.differences[-3:], (one, other, result, place())]
        shapes = sorted((tuple(one.shape), tuple(other.shape)), key=len)
        if self.depth or len(self.outer) > 2 or one.requires_grad == other.requires_grad or result.dim() != 2:
            return
        size = result.shape[0]
        if size > 1 and shapes == [(size,), (size, 1)] and result.shape[1] == size:
            self.outer.append({"shapes": f"{tuple(one.shape)} and {tuple(other.shape)}", "where": place()})

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """Is what is backpropagated this loss, or always the same multiple of it?"""
        value = sum(float(root.detach()) for root in roots if root.numel() == 1) / hub.scale
        self._by_hand(hub, value)
        for site in self.sites.values():
            if site.fresh and site.values[-1]:
                site.least_ratio = min(site.least_ratio, value / site.values[-1])
                site.largest_ratio = max(site.largest_ratio, value / site.values[-1])
            site.fresh = False

    def _by_hand(self, hub: Any, value: float) -> None:
        """Is what is backpropagated the mean square of a difference? Then that was a loss function."""
        differences, self.differences = self.differences, []
        if any(site.fresh for site in self.sites.values()):
            return
        for one, other, result, where in differences:
            if not 1 < result.numel() <= MOST_ELEMENTS:
                continue
            mean = (result.detach() ** 2).mean()
            if abs(float(mean) - value) <= 1e-5 * abs(value):
                predicted, target = (one, other) if one.requires_grad else (other, one)
                self._computed(hub, Loss("mse_loss", predicted, target, mean, {}), where)
                return

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """One call."""
        self._computed(hub, loss, place())

    def _computed(self, hub: Any, loss: Loss, where: str) -> None:
        import torch  # noqa: PLC0415 - only where torch runs

        training = torch.is_grad_enabled() and bool(loss.predicted.requires_grad)
        site = self.sites.setdefault((loss.kind, where, training), _Site(loss.kind, where, training))
        site.calls += 1
        site.reduction = str(loss.options.get("reduction", "mean"))
        if loss.result.numel() == 1 and len(site.values) < 1_000_000:
            site.values.append(float(loss.result.detach()))
            site.fresh = True
        if training and loss.kind == "cross_entropy" and not loss.target.is_floating_point():
            self._look_for_padding(site, counted_target(loss))
        if not hub.sampled(site.calls - 1) or loss.predicted.numel() > MOST_ELEMENTS:
            return
        with torch.no_grad():
            maker = made_by(loss.predicted)
            mixed = scrambled(loss.predicted) if loss.kind == "cross_entropy" else ""
            if mixed and len(self.scrambled) < MOST_TOLD:
                self.scrambled.append({"shapes": mixed, "where": where})
            site.made_by[maker] = site.made_by.get(maker, 0) + 1
            look(site, loss)
            if training and loss.target.requires_grad:
                self._follow(hub, site, loss.predicted, loss.target)
            if training and self.apart:
                self.predicting |= set(leaves(loss.predicted))

    def _follow(self, hub: Any, site: _Site, predicted: Any, target: Any) -> None:
        """Was the target made by parameters of its own that an optimizer holds?"""
        ours, theirs = leaves(predicted), leaves(target)
        held = {id(each) for one in hub.trainings.values() for each in one.parameters}
        if ours and theirs and not set(ours) & set(theirs) and set(theirs) & held:
            site.target_apart += 1
            self.apart |= set(theirs)
            self.teaches = self.teaches or teaches(hub, set(theirs))
            site.target_parameter = site.target_parameter or hub.name_of(next(iter(theirs.values())))

    def softened(self, hub: Any, values: Any, axis: Any) -> None:
        """A softmax outside of all models over the first of three and more axes, as long as the batch."""
        del hub
        if self.depth or not values.requires_grad or values.dim() < 3 or axis not in (0, -values.dim()):
            return
        self.softmax_over_batch += len(values) == self.rows > 1
        self.softmax_place = self.softmax_place or place()

    def _look_for_padding(self, site: _Site, target: Any) -> None:
        """A token that stands only at the ends of rows, in runs of different lengths."""
        if (
            site.calls > CLOSELY
            or not self.rows
            or target.numel() % self.rows
            or target.numel() < 4 * self.rows
        ):
            return
        rows = target.detach().reshape(self.rows, -1)
        last = rows[:, -1]
        token = int(last.mode().values)
        if token < 0 or self.rows < 4:
            return
        runs = (rows.flip(1) == token).long().cumprod(1).sum(1)
        all_of_it = int((rows == token).sum())
        trailing = int(runs.sum())
        site.padded_looked += 1
        varied = int(runs.min()) < int(runs.max())
        if trailing == all_of_it and varied and trailing > 0.1 * rows.numel() and int(runs.max()) > 2:
            site.padded += 1
            site.padding_share += trailing / rows.numel()
            site.padding_token = token
            site.padded_inputs += any(alike_at(each, runs, rows.shape[1]) for each in self.given)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """All sites."""
        del hub
        if not self.sites and not self.outer and not self.softmax_over_batch:
            raise NotImplementedError("the program calls no loss function of torch.nn.functional")
        return {
            "sites": [_told(site) for site in self.sites.values()],
            "outer": self.outer,
            "scrambled": self.scrambled,
            "target_teaches": self.teaches,
            "target_learns": bool(self.apart & self.predicting),
            "softmax_over_batch": self.softmax_over_batch,
            "softmax_place": self.softmax_place,
        }


def _told(site: _Site) -> dict[str, Any]:
    counts = (
        "calls", "looked", "unit_range", "probabilities", "log_probabilities", "rectified", "identical",
        "constant_targets", "target_gradients", "uniform", "constant_rows", "multi_row", "classes",
        "elements", "single_class", "single_targets", "class_turns", "single_pairs", "distinct", "positive",
        "padded", "padded_inputs", "padded_looked", "padding_token", "target_apart",
    )  # fmt: skip
    size = max(1, min(20, len(site.values) // 5))
    return {
        **{name: int(getattr(site, name)) for name in counts},
        "kind": site.kind,
        "where": site.where,
        "training": site.training,
        "reduction": site.reduction,
        "broadcast": site.broadcast,
        "spread_out": site.spread_out,
        "made_by": max(site.made_by, key=lambda each: site.made_by[each], default=""),
        "largest_share": max(site.histogram.values(), default=0) / max(1, sum(site.histogram.values())),
        "target_parameter": site.target_parameter,
        "whole": site.largest_ratio - site.least_ratio <= NEAR * abs(site.largest_ratio),
        "multiple": site.largest_ratio if math.isfinite(site.largest_ratio) else math.nan,
        "least_input": site.least_input,
        "largest_input": site.largest_input,
        "ignored": site.ignored / max(1, site.targets),
        "padding_share": site.padding_share / max(1, site.padded),
        "present_classes": len(site.histogram),
        "largest_class": max(site.histogram, default=-1),
        "first": float(np.median(site.values[:size])) if site.values else math.nan,
        "final": float(np.median(site.values[-size:])) if site.values else math.nan,
        "lowest": min(site.values, default=math.nan),
        "chance": chance(site),
        "below_chance": below(site),
        "falling": falling(site),
        "scores": told_scores(site),
        **favoured(site),
    }
