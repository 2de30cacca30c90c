"""Optimizers that go on from a saved state: do their schedules go on as well, or begin again?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer
from harness.watching.places import place

MOST_RATES = 5000
POSITIONS = ("epoch", "step", "iter", "update", "batch")
"""Words in the names under which checkpoints keep how far the training went."""
SETTINGS = (bool, int, float, str)
PROGRESS = ("last_epoch", "_step_count", "_last_lr", "_get_lr_called_within_step")


@dataclass(slots=True)
class _Schedule:
    """A scheduler, and what acts on the same optimizer."""

    scheduler: Any
    optimizer: Any
    began: int
    where: str


@dataclass(slots=True)
class _Resume:
    """An optimizer was given a state with updates in it. positions: of all schedulers then, by number."""

    optimizer: Any
    where: str
    rate: float
    initial: float
    at: int
    positions: list[int]
    begins: dict[int, int] = field(default_factory=dict)


class Resumes(Observer):
    """Keeps schedulers, rates, and where optimizers were given a state."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.schedules: list[_Schedule] = []
        self.resumes: list[_Resume] = []
        self.rates: dict[int, list[float]] = {}
        self.told: set[int] = set()
        self.counted = False

    def scheduler_made(self, hub: Any, scheduler: Any, optimizer: Any) -> None:
        """One more scheduler."""
        del hub
        if optimizer is not None and len(self.schedules) < 100:
            began = int(getattr(scheduler, "last_epoch", 0))
            self.schedules.append(_Schedule(scheduler, _inner(optimizer), began, place()))

    def loaded(self, hub: Any, value: Any) -> None:
        """A file was read: does it say how far the training went?"""
        del hub
        self.counted = self.counted or _counts(value)

    def state_used(self, hub: Any, owner: Any, state: Any) -> None:
        """An optimizer or a scheduler gets a state."""
        del hub
        if hasattr(owner, "last_epoch"):
            self.told.add(id(_inner(getattr(owner, "optimizer", None))))
            return
        groups = state.get("param_groups") if isinstance(state, Mapping) else None
        if not groups or not _stepped(state) or len(self.resumes) >= 20:
            return
        rate = float(groups[0].get("lr", 0.0))
        owner = _inner(owner)
        self.resumes.append(
            _Resume(
                owner, place(), rate, float(groups[0].get("initial_lr", 0.0)),
                len(self.rates.get(id(owner), ())), [_position(each) for each in self.schedules],
            )
        )  # fmt: skip

    def stepping(self, hub: Any, optimizer: Any, late: bool) -> None:
        """The rate of its first group; where its schedules stand when it goes on."""
        del hub, late
        rates = self.rates.setdefault(id(optimizer), [])
        for one in self.resumes:
            if one.optimizer is optimizer and len(rates) == one.at:
                one.begins = {
                    n: _position(each) for n, each in enumerate(self.schedules) if each.optimizer is optimizer
                }
        if len(rates) < MOST_RATES:
            rates.append(float(optimizer.param_groups[0].get("lr", 0.0)))

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Where optimizers went on, and whether their schedules did."""
        del hub
        if not self.resumes:
            raise NotImplementedError("no optimizer is given a state with updates in it")
        return {"counted": self.counted, "resumes": [self._told(each) for each in self.resumes]}

    def _told(self, one: _Resume) -> dict[str, Any]:
        rates = self.rates.get(id(one.optimizer), [])[one.at :]
        again = next((n for n, at in one.begins.items() if self._again(n, at)), None)
        told = {
            "where": one.where, "rate": one.rate, "initial": one.initial, "updates": len(rates),
            "given": id(one.optimizer) in self.told, "schedules": len(one.begins),
            "highest": max(rates[:1000], default=0.0), "kind": "", "made": "", "earlier": 0, "jumped": 0.0,
            "others": sum(at > 0 for at in one.positions),
            "repeated": self._repeated(one, rates),
        }  # fmt: skip
        if again is None:
            return told
        mine = self.schedules[again]
        return {
            **told,
            "kind": type(mine.scheduler).__name__,
            "made": mine.where,
            "earlier": self._earlier(one, mine),
            "same_base": _near(max(mine.scheduler.base_lrs, default=0.0), one.initial),
            "jumped": _jump(one.rate, rates),
        }

    def _again(self, number: int, at: int) -> bool:
        """Whether a scheduler began at its first step, stood there when training went on, and then moved."""
        one = self.schedules[number]
        return one.began == 0 and at <= 1 and _position(one) > at and hasattr(one.scheduler, "base_lrs")

    def _earlier(self, one: _Resume, mine: _Schedule) -> int:
        """How far a scheduler with the same settings had gone, which had not come to its end; else 0."""
        for other, position in zip(self.schedules, one.positions, strict=False):
            apart = other is not mine and other.optimizer is not mine.optimizer
            if apart and position > 1 and _settings(other.scheduler) == _settings(mine.scheduler):
                return position if not _at_its_end(other.scheduler, position) else 0
        return 0

    def _repeated(self, one: _Resume, rates: list[float]) -> int:
        """How many updates have the rates of another optimizer, from its first on; the first may differ."""
        for number, earlier in self.rates.items():
            width = min(len(earlier), len(rates), 50)
            if number == id(one.optimizer) or width < 4 or len({*earlier[1:width]}) < 3:
                continue
            same = all(_near(a, b) for a, b in zip(earlier[1:width], rates[1:width], strict=True))
            if same and not _near(earlier[-1], earlier[0], 0.1):
                return width
        return 0


def _inner(optimizer: Any) -> Any:
    """The optimizer within one that wraps it."""
    inner = getattr(optimizer, "optimizer", None)
    return inner if hasattr(inner, "param_groups") else optimizer


def _position(one: _Schedule) -> int:
    return int(getattr(one.scheduler, "last_epoch", 0))


def _near(one: float, other: float, part: float = 1e-6) -> bool:
    return abs(one - other) <= part * max(abs(one), abs(other))


def _stepped(state: Any) -> bool:
    """Whether updates were made with this state of an optimizer."""
    values = [each for each in state.get("state", {}).values() if isinstance(each, Mapping)]
    return any(float(each.get("step", 1)) > 0 for each in values if each)


def _counts(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return any(
        isinstance(each, int) and each > 0 and any(word in str(key).lower() for word in POSITIONS)
        for key, each in value.items()
    )


def _jump(before: float, rates: list[float]) -> float:
    """How many times the rate before is the one that comes when it first changes; 0 if it never does."""
    moved = next((each for each in rates if not _near(each, before)), 0.0)
    return moved / before if before else 0.0


def _settings(scheduler: Any) -> list[Any]:
    """What a scheduler was told, and not how far it is."""
    own = sorted(vars(scheduler).items())
    plain = [(key, each) for key, each in own if key not in PROGRESS and isinstance(each, SETTINGS)]
    lists = [
        (key, [_rule(each) for each in value])
        for key, value in own
        if key in ("base_lrs", "milestones", "_milestones", "lr_lambdas") and key not in PROGRESS
    ]
    return [type(scheduler).__name__, *plain, *lists]


def _rule(value: Any) -> Any:
    """A number as it is; a function by its text and the numbers that it was made with."""
    if isinstance(value, SETTINGS):
        return value
    function = getattr(value, "__func__", value)
    code = getattr(function, "__code__", None)
    cells = [each.cell_contents for each in getattr(function, "__closure__", None) or ()]
    return (id(code), type(value).__name__, [each for each in cells if isinstance(each, SETTINGS)])


def _at_its_end(scheduler: Any, position: int) -> bool:
    """Whether a schedule had come to its end, or to a place that is as its first one."""
    names = ("total_steps", "T_max", "total_iters")
    ends = [each for name in names if isinstance(each := getattr(scheduler, name, None), int | float)]
    size = getattr(scheduler, "step_size", 0)
    return any(position >= each for each in ends) or bool(size and position % size == 0)
