"""What checks of a probe's answer share: questions with one right answer, and a sentence for each outcome."""

import math

from harness.model import Status, Verdict


def need_true(required: bool) -> None:
    """Refuse `name: false`, which could not fail.

    Raises:
        ValueError: it is false.
    """
    if not required:
        raise ValueError("false expects nothing; leave the key out")


def held(  # noqa: PLR0913 - a verdict has that many parts
    check: str,
    value: float,
    *,
    good: bool,
    expected: str,
    message: str,
    means: str,
    unit: str = "",
    step: int | None = None,
    tensor: str = "",
) -> Verdict:
    """A verdict on one number.

    good: a comparison that NaN fails. message: what was asked and observed. means: what a failure says of the
    training.
    """
    sentence = f"{message}, expected {expected}"
    return Verdict(
        check=check,
        status=Status.PASS if good else Status.FAIL,
        observed=float(value),
        expected=expected,
        unit=unit,
        step=None if good else step,
        tensor="" if good else tensor,
        reason="" if good else ("out_of_bounds" if math.isfinite(value) else "nonfinite"),
        message=sentence if good else f"{sentence}: {means}",
    )
