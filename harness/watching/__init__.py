"""Observation of an unmodified PyTorch program: hooks in torch tell a hub, the hub tells the observers.

Nothing here changes a bit of what the program computes: no random number is drawn, no tensor written.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.watching.health import TrainingHealth


def training_health(
    expect: Mapping[str, Any] | None = None, *, accept: Iterable[str] = ()
) -> "TrainingHealth":
    """Observe the PyTorch training of a `with` block, and raise at its end unless it was healthy.

    `with training_health() as watch: train()`. What the block itself raises passes unchanged.

    Args:
        expect: what must hold besides, in the words of a case's `expect`.
        accept: names of findings that are no sickness here.

    Raises:
        HarnessError: an expectation or a name is wrong.
    """
    from harness.watching.health import TrainingHealth, accepted, expectations  # noqa: PLC0415 - brings torch

    return TrainingHealth(checks=expectations(expect), accept=accepted(accept))
