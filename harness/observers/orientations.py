"""Maps as targets: does the input explain them as it is, or does it have to be turned over?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.observers import Observer
from harness.observers._orientations import as_map, comes_from, fits
from harness.watching.events import Call, Loss

LEAST_SIDE = 8
MOST_ROWS = 16
"""Samples of one call that are looked at."""
MOST_SAMPLES = 512
PENDING = 2
"""Calls of models whose loss may still come."""
CLEAR = 0.2
"""An orientation that explains less of the target says nothing."""
MARGIN = 0.15
"""By so much one orientation has to explain more than another."""


@dataclass(slots=True)
class _Look:
    """One call, in samples.

    decisive: some orientation explains the target, another does not. own: the input as it is does. elsewhere:
    only another one does. Of those, ahead: none explains the target of the next sample as well, which would
    be chance; followed: what the model gave fits as it is.
    """

    samples: int
    decisive: int
    own: int
    elsewhere: int
    ahead: int
    followed: int


class Orientations(Observer):
    """Compares what a model was given, turned over in every way, with the map that its output is held to."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.pending: list[tuple[Any, Any]] = []
        self.looks: list[_Look] = []
        self.calls = self.samples = 0

    def called(self, hub: Any, call: Call) -> None:
        """A model was given a map (B, C, H, W), and nothing beside it that could tell of its orientation."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.tensors import first_tensor, tensors_in  # noqa: PLC0415 - brings torch

        if call.depth or self.samples >= MOST_SAMPLES or not torch.is_grad_enabled():
            return
        given, output = tensors_in(list(call.given)), first_tensor(call.output)
        if len(given) != 1 or output is None or not output.requires_grad or not _is_map(given[0]):
            return
        self.calls += 1
        if hub.sampled(self.calls - 1, first=4):
            self.pending = [*self.pending[1 - PENDING :], (given[0], output)]

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """A loss outside of all models, of an output that is still known."""
        del hub
        if self.pending:
            self._find(loss.predicted, loss.target, int(loss.options.get("ignore_index", -100)))

    def subtracted(self, hub: Any, one: Any, other: Any, result: Any) -> None:
        """A loss that is written by hand begins so."""
        del hub, result
        if self.pending and one.requires_grad != other.requires_grad:
            self._find(*((one, other) if one.requires_grad else (other, one)), -100)

    def backward_ended(self, hub: Any, roots: Any) -> None:
        """What was not used by now is not; a graph that is kept costs memory."""
        del hub, roots
        self.pending = []

    def _find(self, predicted: Any, target: Any, left_out: int) -> None:
        import torch  # noqa: PLC0415 - only where torch runs

        if target.requires_grad or not predicted.requires_grad:
            return
        for each in [one for one in self.pending if comes_from(predicted, one[1])]:
            given, output = each
            wanted = as_map(target.detach(), len(given), *given.shape[2:])
            if wanted is None:
                return
            self.pending = [one for one in self.pending if one is not each]
            with torch.no_grad():
                self._look(given.detach()[:MOST_ROWS], output.detach(), wanted[:MOST_ROWS], left_out)

    def _look(self, given: Any, output: Any, target: Any, left_out: int) -> None:
        each, others = (fits(given, one, left_out) for one in (target, target.roll(1, 0)))
        best, at = each.nan_to_num(nan=-1.0).max(0)
        decisive = (best > CLEAR) & (best - each.amin(0) > MARGIN)
        elsewhere = decisive & (best - each[0] > MARGIN)
        ahead = elsewhere & (best > others.nan_to_num(nan=-1.0).amax(0))
        followed = elsewhere & False
        made = as_map(output[: len(given)].float(), len(given), *given.shape[2:])
        if made is not None and bool(elsewhere.any()):
            ours = fits(made, target, left_out)
            followed = elsewhere & (ours[0] > ours.gather(0, at[None])[0] + MARGIN)
        own = decisive & (best - each[0] <= MARGIN / 3)
        counts = (decisive, own, elsewhere, ahead, followed)
        self.looks.append(_Look(len(given), *(int(one.sum()) for one in counts)))
        self.samples += len(given)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Counts of samples; of the last third of the calls too, where the model has learned something."""
        del hub
        if not self.looks:
            raise NotImplementedError("no model is trained to make a map of an image")
        late = self.looks[-max(1, len(self.looks) // 3) :]
        names = ("samples", "decisive", "own", "elsewhere", "ahead")
        return {
            **{name: sum(getattr(each, name) for each in self.looks) for name in names},
            **{
                f"late_{name}": sum(getattr(each, name) for each in late)
                for name in ("elsewhere", "followed")
            },
        }


def _is_map(given: Any) -> bool:
    """Whether these are several images (B, C, H, W) of numbers, large enough to have an orientation."""
    return (
        given.dim() == 4
        and given.is_floating_point()
        and len(given) > 1
        and min(given.shape[2:]) >= LEAST_SIDE
    )
