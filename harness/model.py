"""The words of the suite, as frozen types. Read this first; it imports nothing of ours.

cases/*.yaml -> Case -> Problem -> worker: Backend -> Trainer -> Facts
    -> judge -> Verdicts -> Run -> Store -> Pages

Shapes: T steps, P tensors, S steps of data, B samples in a batch, L tokens in a sequence, V vocabulary.
Seconds and bytes everywhere; shares are 0 to 1, not percent. `harness.units.show` formats them, once, at the
edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float64 = NDArray[np.float64]

IGNORE = -100
"""The target id that the loss leaves out."""


class Status(StrEnum):
    """What came of a check or of a run. `ERROR`: the suite or the backend broke; it is never `FAIL`."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"


class HarnessError(Exception):
    """Something that the user can put right. Its text is the one line that is shown."""

    exit_code = 2


class BrokenError(HarnessError):
    """The suite, the machine or a backend broke; not the user's input."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchors:
    """Losses that are known before anything trains, in nats (mean squared error for regression).

    uniform: ln V, the loss of a model that prefers nothing. unigram: entropy of the target counts (H0).
    floor: the entropy rate of the source (H1); no honest model gets below it on fresh data.
    """

    uniform: float | None = None
    unigram: float | None = None
    floor: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One optimizer step's data. Targets equal to `IGNORE` do not count.

    inputs (B, L) int64 tokens or (B, F) float64; targets (B, L) int64, (B,) int64 classes or (B, O) float64;
    sample_ids (B,) int64, the identity of each sample in its data set; lengths (B,) int64 real tokens.
    """

    inputs: Array
    targets: Array
    sample_ids: Array
    lengths: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemFacts:
    """What is known of a problem without holding its arrays; recorded with every run."""

    digest: str
    vocabulary: int | None
    parameters: int
    shapes: Mapping[str, tuple[int, ...]]
    anchors: Anchors
    tokens_per_step: float
    samples_per_step: int
    steps: int
    learning_rates: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One quantity: its value in base units (s, B, 1, token/s) and the raw samples behind it."""

    name: str
    value: float
    unit: str
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What training did, step by step. Arrays are float64; a step that never ran is absent, not NaN.

    loss, learning_rate, memory (resident bytes) (T,); all `Float64` of two axes (T, P).
    gradient_norm is of the gradient before clipping, clipped_norm of the one that the optimizer sees.
    weight_norm, weight_mean (mean magnitude, over the sampled elements) are of the weights that the step
    starts from. update_ratio: the update that happened, projected on the one that the optimizer's rule gives
    (1 = as it should be, 0 = nothing moved, 2 = twice). update_error: relative L2 distance between the two.
    Both are taken over a sample of at most 256 elements of a tensor, fixed by the seed; NaN where the rule
    gives no update at all. events: how often each thing happened in a step, (T,) each: backward, update,
    zero_grad. digests: a checksum of all parameters after each step. absent: arrays that nobody recorded,
    NaN throughout: programs tell what they like.
    """

    tensors: tuple[str, ...]
    loss: Float64
    learning_rate: Float64
    memory: Float64
    gradient_norm: Float64
    clipped_norm: Float64
    gradient_largest: Float64
    gradient_nonzero: Float64
    weight_norm: Float64
    weight_mean: Float64
    update_norm: Float64
    update_ratio: Float64
    update_error: Float64
    events: Mapping[str, Float64]
    digests: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """How many steps were recorded."""
        return len(self.loss)


TENSOR_COLUMNS = (
    "gradient_norm",
    "clipped_norm",
    "gradient_largest",
    "gradient_nonzero",
    "weight_norm",
    "weight_mean",
    "update_norm",
    "update_ratio",
    "update_error",
)
"""The arrays of a trace that have a column for each tensor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a probe found: numbers and short texts by name, the seconds it took, or why it was not asked."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: str = ""


class Outcome(StrEnum):
    """How the isolated process that ran a case ended. INVALID: the user's input cannot be run."""

    COMPLETED = "completed"
    UNAVAILABLE = "unavailable"
    UNSUPPORTED = "unsupported"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    INVALID = "invalid"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that one run observed, before anybody judges it. Checks and diagnoses read nothing else.

    phase: the last phase that was entered (start, build, train, observe, probe, evaluate, done).
    message: why it ended so, in one line; empty when completed. detail: a traceback or the end of the log.
    """

    outcome: Outcome
    phase: str = "start"
    message: str = ""
    detail: str = ""
    problem: ProblemFacts | None = None
    parameters: int | None = None
    trace: Trace | None = None
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One check's judgement. observed and expected are in `unit`; step and tensor are the first bad ones."""

    check: str
    status: Status
    observed: float | str | None = None
    expected: str = ""
    unit: str = ""
    step: int | None = None
    tensor: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """A named cause, its evidence, and what to change. weight 0 to 1: how well the evidence fits."""

    name: str
    cause: str
    remedy: str
    weight: float
    step: int | None = None
    tensor: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One case on one backend: identity, environment, facts, and the judgement of those facts.

    id is unique and sorts by time. environment is the fingerprint of `harness.environment`.
    """

    id: str
    session: str
    case: str
    backend: str
    revision: int
    case_digest: str
    started: float
    seconds: float
    status: Status
    reason: str
    message: str
    facts: Facts
    environment: Mapping[str, Any]
    verdicts: tuple[Verdict, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
