"""Words of a case whose training is a program of its own, or a model of another library."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt, MinLen

from harness.units import Finite, Positive, Whole

Text = Annotated[str, MinLen(1)]
PLACES = ("steps", "seed", "threads", "case", "out")
"""What stands for itself in braces in a command, and for nothing else: no other brace is touched."""
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandModel:
    """`model: {command: [./engine, --steps, "{steps}"]}`: any program, run in the folder of the case file.

    It finds the case as JSON at `{case}` (also in the environment, HARNESS_CASE) and may write to the folder
    `{out}`. log: how its output is read (`harness.logs`). pattern: a regular expression with the groups
    `loss`, and `step`, `learning_rate`, `grad_norm` as far as it finds them, in place of `log`. series: a CSV
    or JSON file that it writes, read in place of its output; relative to the case's folder, or `{out}/...`.
    vocabulary: tokens or classes that the loss is taken over; an untrained model's loss is ln of it.
    needs: Python packages without which the case is skipped.
    """

    command: Annotated[tuple[Text, ...], MinLen(1)]
    log: Literal["json", "hugging_face", "plain", "columns"] = "json"
    pattern: Text | None = None
    series: Text | None = None
    vocabulary: Annotated[int, Whole(), Ge(2)] | None = None
    needs: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        """Refuse places that nothing fills, and patterns that find no loss."""
        _refuse_unknown_places((*self.command, self.series or ""))
        if self.pattern is None:
            return
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"pattern '{self.pattern}' is no regular expression: {error}") from error
        if "loss" not in groups:
            raise ValueError(f"pattern '{self.pattern}' has no group 'loss', such as (?P<loss>\\S+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptModel:
    """`model: {script: train.py, arguments: [--lr, "1e-3"]}`: a PyTorch program, run as it is and observed.

    script: relative to the case's folder, in which it runs. needs: packages without which the case is
    skipped. evaluate: `file.py:function`, given the trained model; it returns a share of right answers, or a
    mapping of names to numbers with `score` (or `accuracy`), and `chance` where that is known.
    """

    script: Text
    arguments: tuple[Text, ...] = ()
    needs: tuple[Text, ...] = ()
    evaluate: Text | None = None

    def __post_init__(self) -> None:
        """Refuse places that nothing fills."""
        _refuse_unknown_places(self.arguments)
        _refuse_unnamed(evaluate=self.evaluate)


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonModel:
    """`model: {python: "file.py:build"}`: `build(**arguments)` returns (model, batches, loss, optimizer).

    batches: an iterable of batches, begun again when it ends, or a callable that is given the step.
    loss: called with the model and a batch, it returns a scalar. needs, evaluate: as of a script.
    """

    python: Text
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[Text, ...] = ()
    evaluate: Text | None = None

    def __post_init__(self) -> None:
        """Refuse what names no function."""
        _refuse_unnamed(python=self.python, evaluate=self.evaluate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    """Low-rank adapters on linear layers (Hu et al., 2021), by `peft`; nothing else trains.

    alpha: the adapters' scale times rank; 4 x rank. target: names of modules, or all linear ones.
    inference_mode: as a loaded adapter has it, with nothing that trains.
    """

    rank: Annotated[int, Whole(), Ge(1)]
    alpha: Positive | None = None
    target: Text | tuple[Text, ...] = "all-linear"
    dropout: Annotated[float, Finite(), Ge(0), Lt(1)] = 0.0
    inference_mode: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformers:
    """A causal language model of random weights. config: as `transformers` writes it, with `model_type`."""

    config: Mapping[str, Any]
    lora: Lora | None = None

    def __post_init__(self) -> None:
        """Refuse a configuration of nothing."""
        for name, kind in (("model_type", str), ("vocab_size", int)):
            if not isinstance(self.config.get(name), kind):
                raise ValueError(f"config.{name}: expected such as {{model_type: llama, vocab_size: 64}}")  # noqa: TRY004 - a mistake in a case file


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformersModel:
    """`model: {transformers: {...}}`."""

    transformers: Transformers


Observed = ScriptModel | PythonModel | TransformersModel
"""Models that train in a PyTorch program of their own, and are observed there."""


def answered_by(model: object) -> frozenset[str]:
    """The probes' questions that are answered of a program as it runs, by what was seen of it or told."""
    if isinstance(model, CommandModel):
        return frozenset({"checkpoint"})
    scored = isinstance(model, TransformersModel) or getattr(model, "evaluate", None) is not None
    return frozenset({"coverage", "score"} if scored else {"coverage"})


def files_of(model: object) -> dict[str, str]:
    """Files that a model names, by key, relative to the case's folder."""
    if isinstance(model, ScriptModel):
        named = {"script": model.script, "evaluate": (model.evaluate or "").rpartition(":")[0]}
    elif isinstance(model, PythonModel):
        named = {key: (getattr(model, key) or "").rpartition(":")[0] for key in ("python", "evaluate")}
    else:
        named = {}
    return {key: file for key, file in named.items() if file}


def _refuse_unknown_places(texts: tuple[str, ...]) -> None:
    for text in texts:
        for name in _PLACE.findall(text):
            if name not in PLACES:
                raise ValueError(f"'{{{name}}}' in '{text}' stands for nothing; known: {', '.join(PLACES)}")


def _refuse_unnamed(**texts: str | None) -> None:
    for key, text in texts.items():
        if text is not None and not re.fullmatch(r".+\.py:[A-Za-z_]\w*", text):
            raise ValueError(f"{key}: expected 'file.py:function', got '{text}'")


def filled(text: str, values: dict[str, str]) -> str:
    """A text with each known place replaced."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)
