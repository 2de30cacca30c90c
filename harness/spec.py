"""The words of a case file, as frozen types. `harness.cases` reads YAML into them; the fields are the keys.

A mapping of one of several kinds (`model`, `data`, `optimizer`, `schedule`) is told apart by its first key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Lt

from harness.kinds import ByKey, ByName
from harness.model_spec import Count, Decoder, DecoderModel, Library, LibraryModel, Mlp, MlpModel
from harness.programs import CommandModel, PythonModel, ScriptModel, TransformersModel
from harness.units import Bytes, Finite, NonNegative, Positive, Seconds, Whole

if TYPE_CHECKING:
    from harness.checks import Check

__all__ = ["Count", "Decoder", "DecoderModel", "Library", "LibraryModel", "Mlp", "MlpModel"]
"""What is written down elsewhere and belongs to the words here."""

Seed = Annotated[int, Whole(), Ge(0)]


Computed = DecoderModel | MlpModel
"""Models that a backend computes from one problem; of programs, nothing is known but what they say."""
Model = Annotated[
    DecoderModel | MlpModel | LibraryModel | CommandModel | ScriptModel | PythonModel | TransformersModel,
    ByKey(),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextData:
    """Windows of a text file, shuffled anew each epoch.

    text: the file, relative to the case's folder. stride: tokens between window starts (default: sequence).
    """

    text: str
    tokenizer: Literal["characters", "bytes"] = "characters"
    stride: Count | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Markov:
    """A first-order Markov chain over the vocabulary; rows are Dirichlet(concentration)."""

    concentration: Positive = 0.1
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkovData:
    """`data: {markov: {...}}`: fresh samples at every step; entropies H0 and H1 are exact."""

    markov: Markov


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """Random tokens, a separator, the same tokens again. Only the second half counts."""

    separator: Seed = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyData:
    """`data: {copy: {}}`: needs positions and attention; a Markov source does not."""

    copy: Copy


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """Targets of a random two-layer network of tanh plus normal noise (standard deviation)."""

    noise: NonNegative = 0.1
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherData:
    """`data: {teacher: {...}}` for regression."""

    teacher: Teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class Clusters:
    """One normal cluster a class; spread is the standard deviation around centres of unit variance."""

    spread: Positive = 0.5
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClustersData:
    """`data: {clusters: {...}}` for classification."""

    clusters: Clusters


Data = Annotated[TextData | MarkovData | CopyData | TeacherData | ClustersData, ByKey()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sgd:
    """Stochastic gradient descent. weight_decay is added to the gradient of tensors with two or more axes."""

    lr: NonNegative
    momentum: Annotated[float, Finite(), Ge(0), Lt(1)] = 0.0
    nesterov: bool = False
    weight_decay: NonNegative = 0.0

    def __post_init__(self) -> None:
        """Refuse what no optimizer offers."""
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamW:
    """AdamW (Loshchilov and Hutter, 2019). weight_decay acts on tensors with two or more axes only."""

    lr: NonNegative
    betas: tuple[Annotated[float, Finite(), Ge(0), Lt(1)], Annotated[float, Finite(), Ge(0), Lt(1)]] = (
        0.9,
        0.999,
    )
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class SgdOptimizer:
    """`optimizer: {sgd: {...}}`."""

    sgd: Sgd


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamWOptimizer:
    """`optimizer: {adamw: {...}}`."""

    adamw: AdamW


Optimizer = Annotated[SgdOptimizer | AdamWOptimizer, ByKey()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How the learning rate moves: a linear warm-up, then `kind` down to `final` x the peak at the last step.

    kind `constant` without warm-up is the default; `schedule: cosine`, or `schedule: {cosine: {warmup: 10}}`.
    """

    kind: Literal["constant", "cosine", "linear"] = "constant"
    warmup: Annotated[int, Whole(), Ge(0)] = 0
    final: Annotated[float, Finite(), Ge(0), Lt(1)] = 0.0

    def __post_init__(self) -> None:
        """Refuse an end that a constant rate never reaches."""
        if self.kind == "constant" and self.final:
            raise ValueError("a constant schedule has no final share; use linear or cosine")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """How the model is trained.

    sequence: tokens a sample. lengths: [shortest, longest] real tokens a sample, drawn evenly; the rest is
    padding with target `IGNORE`. micro_batches: parts that a batch is split into; gradients are those of the
    whole batch. ranks: processes among which a backend that distributes divides each micro-batch; the others
    compute the same in one. data and optimizer may be left out only where a program has its own.
    """

    steps: Count
    # None where a program has its own; nothing that computes ever meets such a config.
    data: Data = None  # type: ignore[assignment]
    optimizer: Optimizer = None  # type: ignore[assignment]
    batch: Count = 1
    sequence: Count = 1
    micro_batches: Count = 1
    lengths: tuple[Count, Count] | None = None
    schedule: Annotated[Schedule, ByName()] = field(default_factory=Schedule)
    clip_norm: Positive | None = None
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    seed: Seed = 0
    threads: Count = 1
    ranks: Count = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be split or padded."""
        if self.batch % self.micro_batches:
            raise ValueError(f"micro_batches ({self.micro_batches}) must divide batch ({self.batch})")
        if self.lengths and not self.lengths[0] <= self.lengths[1] <= self.sequence:
            raise ValueError(
                f"lengths {list(self.lengths)} must rise and end at most at sequence ({self.sequence})"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantine:
    """A failure that is followed up elsewhere: until the end of a day (UTC) it does not fail the night.

    issue: where it is followed up. backends: on these only; on all when none is named.
    """

    issue: str
    until: date
    backends: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what nobody can follow."""
        if not re.fullmatch(r"https?://[^\s<>\"]+", self.issue):
            raise ValueError(f"issue: expected a link, http or https, got '{self.issue}'")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What should happen: model, config, backends, expectations, faults it must catch.

    name: the file's stem, with `[key=value,...]` for the choices of a matrix. path: the file.
    library: the engine in C that `native_c` runs in place of ours; the model is the decoder that it computes.
    expect: checks by name. expect_on: for one backend, checks that are added or replace those of `expect`.
    digest: of everything that changes the numbers or the judgement; a quarantine changes neither.
    """

    SCHEMA: ClassVar[int] = 1

    name: str
    path: Path
    digest: str
    revision: int
    about: str
    model: DecoderModel | MlpModel | CommandModel | ScriptModel | PythonModel | TransformersModel
    config: Config
    backends: tuple[str, ...]
    expect: Mapping[str, "Check"]
    library: Library | None = None
    expect_on: Mapping[str, Mapping[str, "Check"]] = field(default_factory=dict)
    source: str = ""
    tags: tuple[str, ...] = ()
    timeout: Seconds = 600.0
    memory_limit: Bytes | None = None
    quarantine: Quarantine | None = None
    catches: tuple[str, ...] | Literal["all"] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def expectations(self, backend: str) -> Mapping[str, "Check"]:
        """The checks that hold on one backend, by name."""
        return {**self.expect, **self.expect_on.get(backend, {})}
