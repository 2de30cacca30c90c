"""In which order gradients are cleared, computed, clipped and used, and whether updates last."""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer
from harness.watching.events import Call, Loss

LARGE_JUMP = 0.7
"""Of the size of the weights: farther than averages, constraints and pruning move them."""
MOST_STATES = 10_000
NEAR = 1e-3
KEPT = 10
"""The latest losses may still be in use."""
LOOK_BACK = 16
"""Backward passes between two looks at what became of earlier losses."""
CLOSELY = 100
"""Steps of a training that are looked at closely; a habit shows in fewer."""


@dataclass(slots=True)
class _Story:
    """What happened around the updates of one optimizer."""

    steps: int = 0
    looked: int = 0
    dirty: int = 0
    erased: int = 0
    repeated: int = 0
    thrown_away: int = 0
    undivided: int = 0
    undone: int = 0
    undone_longest: int = 0
    thrown_over: int = 0
    replaced: int = 0
    states: dict[tuple[float, ...], int] = field(default_factory=dict)
    moved_between: int = 0
    moved_evaluated: int = 0
    evaluated: int = 0
    clipped: int = 0
    clipped_scaled: int = 0
    clipped_late: int = 0
    clip_limit: float = 0.0
    clip_shares: list[float] = field(default_factory=list)
    backwards: list[int] = field(default_factory=list)
    clean: bool = False
    since: int = 0
    last_norm: float = 0.0
    used: float = 0.0
    touched: bool = False
    norms: Any = ()
    part: tuple[bool, ...] = (True,)
    parts: int = 0
    tried: Any = None
    tries: int = 0
    tries_dirty: int = 0
    after_step: bool = False
    unscaled: bool = False
    end: Any = None


class Cycle(Observer):
    """Watches backward, clip, step and what lies between them."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.stories: dict[int, _Story] = {}
        self.backwards = self.leaves = self.input_gradients = 0
        self.loss_results: list[weakref.ref[Any]] = []
        self.roots: list[weakref.ref[Any]] = []
        self.kept_losses = self.older_losses = 0
        self.outputs: list[weakref.ref[Any]] = []
        self.evaluated: set[int] = set()
        self.kept_outputs = self.older_outputs = 0
        self.late = False
        self.other_step = False

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """An input that wants a gradient: an attack, a penalty, or an image that is optimized."""
        del hub, module
        if depth == 0 and any(getattr(each, "requires_grad", False) and each.is_leaf for each in args):
            self.input_gradients += 1

    def called(self, hub: Any, call: Call) -> None:
        """Remember an output that has a history, weakly; and which models were evaluated."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.tensors import first_tensor  # noqa: PLC0415 - brings torch

        del hub
        if not call.depth and not torch.is_grad_enabled():
            self.evaluated |= {id(each) for each in call.module.parameters()}
        output = None if call.depth else first_tensor(call.output)
        if output is not None and output.grad_fn is not None and len(self.outputs) < MOST_STATES:
            self.outputs.append(weakref.ref(output))

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """Remember which tensors are means that a loss function gave."""
        del hub
        if loss.result.numel() == 1 and loss.options.get("reduction", "mean") == "mean":
            # Weakly, not by identity: another tensor may take the place of one that is gone.
            self.loss_results.append(weakref.ref(loss.result))
            del self.loss_results[:-64]

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """Are gradients still there from before?"""
        self.backwards += 1
        self.leaves += any(root.grad_fn is None for root in roots)
        for number, training in hub.trainings.items():
            story = self.stories.setdefault(number, _Story())
            if story.steps > CLOSELY:
                continue
            story.norms = training.gradients(anew=True)
            norm = float(story.norms.sum())
            if self.late:
                self._within(story, training, norm)
            if norm == 0:
                story.thrown_away += self._thrown_away(story, training)
                story.clean = True
            elif story.since == 0 and story.used and norm != story.used:
                story.clean = True  # the program keeps a part of them on purpose: it has changed them itself
        self.other_step = False

    def _within(self, story: _Story, training: Any, norm: float) -> None:
        """Within an update: the weights moved since the last pass, and are its gradients still there?"""
        now = training.fingerprint(anew=True)
        if story.tried is not None and now != story.tried:
            story.tries += 1
            story.tries_dirty += norm != 0
        story.tried = now

    def _thrown_away(self, story: _Story, training: Any) -> bool:
        """Gradients were there, none is now, no update came between; nor did the weights move meanwhile.

        Sharpness-aware minimization takes a gradient to move the weights, and another one there.
        """
        if not story.since or not story.last_norm or self.other_step or self.late:
            return False
        return story.end is None or training.fingerprint(anew=True) == story.end

    def backward_ended(self, hub: Any, roots: Any) -> None:
        """How large are they now?"""
        if len(self.roots) < MOST_STATES:
            self.roots += [weakref.ref(root) for root in roots if root.grad_fn is not None]
        if self.backwards % LOOK_BACK == 0:
            # Now, not at the end: what a program keeps goes with it.
            self.older_losses = len(self.roots[:-KEPT])
            self.kept_losses = sum(root() is not None for root in self.roots[:-KEPT])
            self.older_outputs = len(self.outputs[:-KEPT])
            self.kept_outputs = sum(output() is not None for output in self.outputs[:-KEPT])
        undivided = any(root is result() for root in roots for result in self.loss_results)
        for number, training in hub.trainings.items():
            story = self.stories.setdefault(number, _Story())
            story.since += 1
            if story.steps <= CLOSELY and not self.late:
                story.last_norm, story.touched = _total(training), False
                self._compare_parts(story, training)
            story.undivided += undivided and bool(story.part)

    def _compare_parts(self, story: _Story, training: Any) -> None:
        """Which tensors did this pass give a gradient, and are they those of the pass before?"""
        now = training.gradients()
        part = tuple((now != story.norms).tolist()) if len(story.norms) == len(now) else (True,)
        story.parts += story.since > 1 and part != story.part
        story.part = part if any(part) else ()

    def unscaled(self, hub: Any, scaler: Any, optimizer: Any) -> None:
        """From here to the step, gradients are what they are."""
        del hub, scaler
        self.stories.setdefault(id(optimizer), _Story()).unscaled = True

    def clipping(self, hub: Any, parameters: Any, limit: float) -> None:
        """Is it the right moment, and how much is left?"""
        meant = {id(each) for each in parameters}
        for number, training in hub.trainings.items():
            story = self.stories.setdefault(number, _Story())
            if not any(id(each) in meant for each in training.parameters):
                continue
            story.clipped += 1
            story.clipped_scaled += hub.scale > 1 and not story.unscaled
            total = _total(training)
            # Without a backward pass gradients may be new all the same: those that a program sets itself.
            story.clipped_late += story.since == 0 and total == story.used
            story.touched = True
            if story.since:
                story.last_norm *= min(
                    1.0, limit / max(float((training.gradients() ** 2).sum()) ** 0.5, 1e-12)
                )
            if total > 0 and len(story.clip_shares) < CLOSELY:
                story.clip_shares.append(limit / total)
                story.clip_limit = max(story.clip_limit, limit)

    def stepping(self, hub: Any, optimizer: Any, late: bool) -> None:
        """Is there a gradient, and is it new?"""
        self.late = late
        story = self.stories.setdefault(id(optimizer), _Story())
        training = hub.trainings.get(id(optimizer))
        if training is None or late:
            return
        self._compare(story, training)
        total = training.pulled
        if story.steps and story.steps <= CLOSELY:
            story.looked += 1
            story.repeated += story.since == 0 and total == story.used > 0
            # What no backward pass gives a gradient to has one that the program sets itself.
            story.dirty += story.since > 0 and not story.clean and bool(story.part)
            story.erased += story.since > 0 and story.last_norm > 0 and total == 0
            other = abs(total - story.last_norm) > NEAR * story.last_norm and total > 0
            story.replaced += story.since > 0 and other and not story.unscaled and hub.scale <= 1
        story.used = total
        if story.since:
            story.backwards.append(story.since)
            del story.backwards[:-CLOSELY]

    def _compare(self, story: _Story, training: Any) -> None:
        """Are the weights where the last update left them?"""
        now = training.fingerprint()
        judged = bool(self.evaluated) and any(id(each) in self.evaluated for each in training.parameters)
        story.evaluated += judged and story.end is not None
        if story.end is not None and now != story.end and training.jump() > training.rounding:
            story.moved_between += 1
            story.moved_evaluated += judged
            if now in story.states:
                story.undone += 1
                story.undone_longest = max(story.undone_longest, story.steps - story.states[now])
            story.thrown_over += training.jump() > LARGE_JUMP
        if len(story.states) < MOST_STATES:
            story.states.setdefault(now, story.steps)

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """The next round begins."""
        self.late, self.other_step = False, True
        story = self.stories.setdefault(id(optimizer), _Story())
        training = hub.trainings.get(id(optimizer))
        if training is not None:
            story.end = training.fingerprint()
            if training.late and 0 < story.steps <= CLOSELY:
                story.looked += 1
                story.dirty += not story.clean
        self.evaluated.clear()
        story.steps += 1
        story.since, story.clean, story.unscaled, story.tried = 0, False, False, None

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By training, in order: how often each thing happened."""
        return {
            "backwards": self.backwards,
            "leaves": self.leaves,
            "input_gradients": self.input_gradients,
            "kept_losses": self.kept_losses,
            "older_losses": self.older_losses,
            "kept_outputs": self.kept_outputs,
            "older_outputs": self.older_outputs,
            "trainings": [_told(self.stories.get(number, _Story())) for number in hub.trainings],
        }


def _told(story: _Story) -> dict[str, Any]:
    backwards, shares = sorted(story.backwards), sorted(story.clip_shares)
    return {
        **{
            name: int(getattr(story, name))
            for name in (
                "steps", "looked", "dirty", "erased", "repeated", "thrown_away", "undivided", "undone",
                "tries", "tries_dirty", "undone_longest", "thrown_over", "replaced", "parts",
                "moved_between", "moved_evaluated", "evaluated", "clipped", "clipped_scaled", "clipped_late",
            )
        },
        "backwards_per_step": backwards[len(backwards) // 2] if backwards else 0,
        "clip_limit": story.clip_limit,
        "clip_share": shares[len(shares) // 2] if shares else 1.0,
    }  # fmt: skip


def _total(training: Any) -> float:
    """The norms of all gradients together: equal to the bit where nothing changed."""
    return float(training.gradients().sum())
