"""How the learning rate moves over the steps. Pure; every backend takes its rates from here."""

from math import cos, pi

from harness.spec import Schedule


def learning_rate(schedule: Schedule, peak: float, step: int, steps: int) -> float:
    """The learning rate of one step.

    Warm-up of w steps: peak (step + 1) / w, so that step w - 1 is the first at the peak. From there it stays
    (constant), or falls along a line or half a cosine (Loshchilov and Hutter, 2017) to final x peak at the
    last step. A warm-up as long as the training, or longer, leaves no room to fall; a single step is at the
    peak.

    Args:
        schedule: kind, warm-up steps and the share of the peak to end at.
        peak: the optimizer's `lr`.
        step: from 0. After the last step the rate stays.
        steps: of the whole training.
    """
    if step < schedule.warmup:
        return peak * ((step + 1) / schedule.warmup)
    if schedule.kind == "constant":
        return peak
    top = max(schedule.warmup - 1, 0)
    progress = min((step - top) / max(steps - 1 - top, 1), 1.0)
    left = 1.0 - progress if schedule.kind == "linear" else 0.5 * (1.0 + cos(pi * progress))
    return peak * (schedule.final + (1.0 - schedule.final) * left)
