"""Words of a case whose training is a program of its own: how it is started, and how its log is read."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from harness.units import Whole

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
    """

    command: Annotated[tuple[Text, ...], MinLen(1)]
    log: Literal["json", "hugging_face", "plain", "columns"] = "json"
    pattern: Text | None = None
    series: Text | None = None
    vocabulary: Annotated[int, Whole(), Ge(2)] | None = None

    def __post_init__(self) -> None:
        """Refuse places that nothing fills, and patterns that find no loss."""
        for text in (*self.command, self.series or ""):
            for name in _PLACE.findall(text):
                if name not in PLACES:
                    raise ValueError(
                        f"'{{{name}}}' in '{text}' stands for nothing; known: {', '.join(PLACES)}"
                    )
        if self.pattern is None:
            return
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"pattern '{self.pattern}' is no regular expression: {error}") from error
        if "loss" not in groups:
            raise ValueError(f"pattern '{self.pattern}' has no group 'loss', such as (?P<loss>\\S+)")


def filled(text: str, values: dict[str, str]) -> str:
    """A text with each known place replaced."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)
