"""Questions about measured values in an order: is a target the value of its place, or is the next one seen?

Orders are time, along an axis of (B, T), (B, T, F), (B, C, T) or (T, B, F), and the rows of pixels of
(B, C, H, W).
"""

from dataclasses import dataclass
from typing import Any

import torch

from harness.watching.replay import LastCall, output_of, with_first

LAYOUTS = {2: ("time", "first"), 3: ("time", "channels", "first", "image"), 4: ("image",)}
"""By the number of axes of the inputs."""
LEAST_PLACES = 4
MOST_FEATURES = 8
MOST_ELEMENTS = 1 << 22
SAME = 1 - 1e-6
"""A squared correlation that leaves rounding, and no noise."""
MANY_CLASSES = 16
"""Classes that follow a number may be its steps; of fewer, each must stand for one number."""
SHARES = (0.7, 0.4)
"""Where in the order a value is changed."""
STILL = 1e-5
"""Outputs that move by less, relative to the largest, do not."""


def own_value(twin: Any, call: LastCall) -> dict[str, Any]:
    """Where targets are the inputs at their own places: which outputs does the value of a place reach?"""
    inputs, target = call.inputs, call.target
    if target is None or not inputs.is_floating_point() or inputs.numel() > MOST_ELEMENTS:
        return {}
    found: dict[str, Any] = {}
    for layout in LAYOUTS.get(inputs.dim(), ()):
        order = _Order(twin.eval(), call, layout)
        features = order.shown(target)
        found = (order.reach(features) if features else {}) or found
        if found.get("value_earlier", 1.0) <= STILL < found["value_later"]:
            break  # this is the axis of time
    return found


def next_value(twin: Any, call: LastCall) -> dict[str, Any]:
    """Where targets are the inputs at the next places: does a value move outputs before it?"""
    inputs, target = call.inputs, call.target
    if target is None or not inputs.is_floating_point() or inputs.numel() > MOST_ELEMENTS:
        return {}
    for layout in LAYOUTS.get(inputs.dim(), ()):
        order = _Order(twin.eval(), call, layout)
        if order.foretells(target):
            return order.seen_before()
    return {}


@dataclass(frozen=True, slots=True)
class _Order:
    """A copy of a model, its last call, and which axes of that are rows, places and features."""

    twin: Any
    call: LastCall
    layout: str

    def values(self, inputs: Any) -> Any:
        """Inputs as (rows, places, features), a view."""
        return _laid(inputs, self.layout)

    def shown(self, target: Any) -> list[int]:
        """For each feature of the target the feature of the inputs that it is; empty where one is none."""
        values = self.values(self.call.inputs)
        rows, places = values.shape[:2]
        sizes = (places, places - 1) if self.call.begins == 0 else (places,)
        wanted = _fitting(target, self.layout, rows, sizes)
        if rows < 2 or places < LEAST_PLACES or wanted is None or wanted.shape[2] > values.shape[2]:
            return []
        return _found_in(values[:, : wanted.shape[1]], wanted)

    def foretells(self, target: Any) -> bool:
        """Whether the target of each place is the value of the next one, and not its own."""
        values = self.values(self.call.inputs)
        rows, places = values.shape[:2]
        wanted = _fitting(target, self.layout, rows, (places,))
        if rows < 2 or places < LEAST_PLACES or wanted is None or wanted.shape[2] > values.shape[2]:
            return False
        return bool(_found_in(values[:, 1:], wanted[:, :-1])) and not _found_in(values, wanted)

    def seen_before(self) -> dict[str, Any]:
        """How far outputs before a place move with what stands there: relative."""
        before = self.output(self.call.inputs)
        if before is None:
            return {}
        size = max(float(before.abs().max()), 1e-12)
        places = [int(share * before.shape[1]) for share in SHARES]
        moved = [float(self.moved(at, slice(None), before)[:, :at].max()) for at in places]
        return {"next_value_seen": max(moved) / size}

    def output(self, inputs: Any) -> Any:
        """What the copy gives for other inputs, (rows, places, features); None where places differ."""
        given = with_first(self.call, inputs)
        rows, places = self.values(inputs).shape[:2]
        return _fitting(output_of(self.twin, self.call, *given), self.layout, rows, (places,))

    def moved(self, at: int, feature: Any, before: Any) -> Any:
        """How far each output moves, (rows, places), when rows exchange what they have in one place."""
        changed = self.call.inputs.clone(memory_format=torch.contiguous_format)
        values = self.values(changed)
        values[:, at, feature] = values[:, at, feature].roll(1, 0)
        return (self.output(changed) - before).abs().amax(-1)

    def reach(self, features: list[int]) -> dict[str, Any]:
        """How far outputs at a place, before it and after it move with what stands there: relative."""
        before = self.output(self.call.inputs)
        if before is None:
            return {}
        size = max(float(before.abs().max()), 1e-12)
        own, earlier, later = [0.0], [0.0], [0.0]
        for at in (int(share * before.shape[1]) for share in SHARES):
            moved = self.moved(at, slice(None), before)
            earlier.append(float(moved[:, :at].max()) / size)
            later.append(float(moved[:, at + 1 :].max()) / size)
            if earlier[-1] > STILL:
                break
            # Of channels that are foretold one by one, the last one reaches nothing at its own place.
            own.append(min(float(self.moved(at, one, before)[:, at].max()) for one in features) / size)
        found = {"value_own": max(own), "value_earlier": max(earlier), "value_later": max(later)}
        causal = found["value_earlier"] <= STILL < found["value_later"]
        return {**found, "value_passes": self.passes(features, before)} if causal else found

    def passes(self, features: list[int], before: Any) -> float:
        """Does a place get through feature by feature? What fewer units squeeze gives 0, a copy 1.

        The least singular value of the derivative of outputs by their own place, relative to the largest.
        """
        at, rows = int(SHARES[0] * before.shape[1]), []
        for feature in sorted(set(features)):
            changed = self.call.inputs.clone(memory_format=torch.contiguous_format)
            values = self.values(changed)
            values[:, at, feature] += 1e-2 * values[..., feature].std()
            rows.append((self.output(changed) - before)[:, at])
        if len(rows) < 2:
            return 1.0
        strengths = torch.linalg.svdvals(torch.stack(rows, 1))
        return float((strengths[:, -1] / strengths[:, 0].clamp(min=1e-30)).max())


def _laid(value: Any, layout: str) -> Any:
    """The same values as (rows, places, features); a view. None where the layout has other axes."""
    if layout == "image":
        if value.dim() in (3, 4):
            return value.flatten(2).transpose(1, 2) if value.dim() == 4 else value.flatten(1)[..., None]
        return None
    if value.dim() not in (2, 3):
        return None
    value = value[..., None] if value.dim() == 2 else value
    if layout == "channels":
        return value.transpose(1, 2)
    return value.transpose(0, 1) if layout == "first" else value


def _fitting(value: Any, layout: str, rows: int, sizes: tuple[int, ...]) -> Any:
    """An output or a target as (rows, places, features), features in any axis; None where places differ."""
    others = () if layout in ("first", "image") else ("time", "channels")
    for places in sizes:
        for each in (layout, *others):
            laid = _laid(value, each)
            if laid is not None and laid.shape[:2] == (rows, places):
                return laid
        if value.numel() == rows * places and value.shape[0] in (rows, value.numel()):
            return value.reshape(rows, places, 1)
    return None


def _found_in(values: Any, wanted: Any) -> list[int]:
    """For some features of the target the feature of the inputs that each is; empty where one is none."""
    found: list[int] = []
    same = _one_number if wanted.is_floating_point() else _one_class
    for feature in _some(wanted.shape[2]):
        # The feature with the same number first: it nearly always is that one.
        order = sorted(range(values.shape[2]), key=lambda each: each != feature)
        own = wanted[..., feature].reshape(-1)
        one = next((each for each in order if same(values[..., each].reshape(-1), own)), None)
        if one is None:
            return []
        found.append(one)
    return found


def _some(features: int) -> list[int]:
    """Of many features so many, evenly."""
    return [
        number * features // min(features, MOST_FEATURES) for number in range(min(features, MOST_FEATURES))
    ]


def _one_number(given: Any, wanted: Any) -> bool:
    """Whether one is the other, but for its scale and where that begins."""
    x, y = given.double() - given.double().mean(), wanted.double() - wanted.double().mean()
    together = float(x @ y)
    return together > 0 and together**2 > SAME * float(x @ x) * float(y @ y)


def _one_class(given: Any, wanted: Any) -> bool:
    """Whether classes follow a number upwards: one for each of its values, or as many steps."""
    classes = wanted[given.argsort(stable=True)]
    distinct = len(classes.unique())
    if distinct < 2 or int(classes.min()) < 0 or bool((classes.diff() < 0).any()):
        return False
    return distinct >= MANY_CLASSES or distinct == len(given.unique())
