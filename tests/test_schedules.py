import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.schedules import learning_rate
from harness.spec import Schedule

KINDS = ("constant", "cosine", "linear")
STEPS = 20


def rates(schedule, peak=0.4, steps=STEPS):
    return [learning_rate(schedule, peak, step, steps) for step in range(steps)]


def torch_rates(make, peak=0.4, steps=STEPS):
    """The rates that a torch scheduler gives to the first `steps` updates."""
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_constant_stays_at_the_peak():
    assert rates(Schedule()) == [0.4] * STEPS


@pytest.mark.parametrize("kind", KINDS)
def test_warm_up_begins_at_one_part_and_reaches_the_peak_at_its_last_step(kind):
    found = rates(Schedule(kind=kind, warmup=4))
    assert found[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4], rel=1e-15)
    assert found[3] == max(found) == 0.4


@pytest.mark.parametrize("kind", ["cosine", "linear"])
@pytest.mark.parametrize("final", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("warmup", [0, 1, 5, STEPS - 1])
def test_falls_from_the_peak_to_final_times_the_peak_at_the_last_step(kind, final, warmup):
    found = rates(Schedule(kind=kind, warmup=warmup, final=final))
    assert found[max(warmup - 1, 0)] == 0.4
    assert found[-1] == pytest.approx(final * 0.4, rel=1e-15)


def test_cosine_agrees_with_torch():
    from torch.optim.lr_scheduler import CosineAnnealingLR

    peer = torch_rates(lambda optimizer: CosineAnnealingLR(optimizer, T_max=STEPS - 1, eta_min=0.04))
    assert rates(Schedule(kind="cosine", final=0.1)) == pytest.approx(peer, rel=1e-12)


def test_linear_agrees_with_torch():
    from torch.optim.lr_scheduler import LinearLR

    peer = torch_rates(
        lambda optimizer: LinearLR(optimizer, start_factor=1.0, end_factor=0.25, total_iters=STEPS - 1)
    )
    assert rates(Schedule(kind="linear", final=0.25)) == pytest.approx(peer, rel=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_warm_up_then_decay_agrees_with_a_chain_of_torch_schedulers(kind):
    from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

    warmup, left = 5, STEPS - 5

    def chain(optimizer):
        rise = LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1)
        fall = (
            CosineAnnealingLR(optimizer, T_max=left, eta_min=0.04)
            if kind == "cosine"
            else LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=left)
        )
        return SequentialLR(optimizer, [rise, fall], milestones=[warmup - 1])

    assert rates(Schedule(kind=kind, warmup=warmup, final=0.1)) == pytest.approx(
        torch_rates(chain), rel=1e-12
    )


def test_warm_up_then_constant_agrees_with_a_torch_lambda():
    from torch.optim.lr_scheduler import LambdaLR

    peer = torch_rates(lambda optimizer: LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 7)))
    assert rates(Schedule(warmup=7)) == pytest.approx(peer, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_up_longer_than_the_training_only_rises(kind):
    assert rates(Schedule(kind=kind, warmup=8), steps=4) == pytest.approx([0.05, 0.1, 0.15, 0.2], rel=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_step_is_at_the_peak(kind):
    assert rates(Schedule(kind=kind), steps=1) == [0.4]


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_the_rate_stays_after_the_last_step(kind):
    schedule = Schedule(kind=kind, final=0.5)
    assert learning_rate(schedule, 0.4, STEPS + 3, STEPS) == pytest.approx(0.2, rel=1e-15)


warmups = st.integers(0, 60)
finals = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
schedules = st.builds(Schedule, warmup=warmups) | st.builds(
    Schedule, kind=st.sampled_from(["cosine", "linear"]), warmup=warmups, final=finals
)


@given(schedules, st.floats(0, 1e6), st.integers(1, 50))
def test_never_negative_never_above_the_peak_always_finite(schedule, peak, steps):
    for rate in rates(schedule, peak, steps):
        assert math.isfinite(rate)
        assert 0 <= rate <= peak


@given(schedules, st.integers(1, 50))
def test_rises_during_warm_up_and_never_after(schedule, steps):
    found = rates(schedule, 1.0, steps)
    top = min(max(schedule.warmup - 1, 0), steps - 1)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
