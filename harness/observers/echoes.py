"""Does a model of tokens have to say anything but one token, and is that the one it sees there?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer
from harness.observers._given import counted_target
from harness.watching.events import Loss
from harness.watching.places import place

MOST_TOKENS = 1 << 18
MOST_INPUTS = 4
"""Tensors of tokens in a call of a model: ids, types, places."""


@dataclass(slots=True)
class _Site:
    """One call of a loss function. echoed: its targets were one token, at just the places that hold it."""

    where: str
    calls: int = 0
    looked: int = 0
    echoed: int = 0
    targets: int = 0
    tokens: set[int] = field(default_factory=set)
    sizes: set[int] = field(default_factory=set)


class Echoes(Observer):
    """Compares the targets of losses over a vocabulary with the tokens that the model was given."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.sites: dict[str, _Site] = {}
        self.given: list[Any] = []

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """Tokens that a model, or a table within it, is given."""
        from harness.watching.tensors import is_tokens  # noqa: PLC0415 - brings torch

        del hub, module
        if depth == 0:
            self.given.clear()
        known = {id(each) for each in self.given}
        new = [each for each in args if is_tokens(each) and id(each) not in known]
        self.given = [*self.given, *new][:MOST_INPUTS]

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """One call with classes as targets, in training."""
        if loss.kind not in ("cross_entropy", "nll_loss") or loss.target.is_floating_point():
            return
        if not loss.predicted.requires_grad or loss.target.numel() > MOST_TOKENS or not self.given:
            return
        site = self.sites.setdefault(place(), _Site(place()))
        site.calls += 1
        if hub.sampled(site.calls - 1):
            target = counted_target(loss)
            self._look(site, loss, target, target[target >= 0])

    def _look(self, site: _Site, loss: Loss, target: Any, counted: Any) -> None:
        if not counted.numel():
            return
        token = int(counted[0])
        site.looked += 1
        site.targets += counted.numel()
        site.tokens.add(token)
        site.sizes.add(counted.numel())
        classes = loss.predicted.shape[1] if loss.predicted.dim() > 1 else 0
        if bool((counted == token).all()):
            site.echoed += any(_holds(each, target, counted, token, classes) for each in self.given)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By call of a loss function how often its targets say nothing new."""
        del hub
        if not self.sites:
            raise NotImplementedError("no model of tokens was trained on classes")
        return {"sites": [_told(site) for site in self.sites.values()]}


def _holds(inputs: Any, target: Any, counted: Any, token: int, classes: int) -> bool:
    """Whether just the places with a target show this token, among others, all of them of the vocabulary.

    Where a program picks the places itself, there are as many targets as inputs that show it.
    """
    shows = inputs == token
    if int(shows.sum()) != counted.numel() or int(inputs.max()) >= classes or bool(shows.all()):
        return False
    if target.numel() == inputs.numel():
        return bool(((target.reshape(inputs.shape) >= 0) == shows).all())
    # One a row is what begins or ends them, and a label for each row as contrastive losses have it.
    return bool((shows.sum(1) != 1).any())


def _told(site: _Site) -> dict[str, Any]:
    return {
        "where": site.where,
        "looked": site.looked,
        "echoed": site.echoed,
        "targets": site.targets,
        "tokens": len(site.tokens),
        "token": min(site.tokens, default=-1),
        "sizes": len(site.sizes),
    }
