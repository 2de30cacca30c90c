"""The collector of cycles is paused for a while, and is as before afterwards."""

import gc

import pytest

from harness.collector import paused


@pytest.fixture(autouse=True)
def on():
    gc.enable()
    yield
    gc.enable()


def test_it_is_off_inside_and_on_again_afterwards():
    with paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_inside_leaves_it_on():
    with pytest.raises(ValueError, match="inside"), paused():
        raise ValueError("inside")
    assert gc.isenabled()


def test_who_had_it_off_keeps_it_off():
    gc.disable()
    with paused():
        pass
    assert not gc.isenabled()
