"""One way to compute a training a file. A backend makes a `Trainer`, or says in a sentence why it cannot."""

from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from harness.measure import Progress
from harness.model import Facts
from harness.problem import Problem
from harness.spec import Case, Config, DecoderModel, MlpModel
from harness.trainer import Trainer


class Backend:
    """Base of all backends. Stateless; importing its file loads no framework.

    packages: what must be installed, with the requirement to install. preload: modules that the fork server
    imports before it forks. reference: it is the one that others are held to. models: the kinds that it
    takes.
    """

    packages: ClassVar[Mapping[str, str]] = {}
    preload: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[bool] = False
    models: ClassVar[tuple[type, ...]] = (DecoderModel, MlpModel)

    @property
    def name(self) -> str:
        """The backend's name in YAML: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    def unavailable(self) -> str:
        """Why this machine cannot run it, with what to install; empty when it can. Imports nothing."""
        lacking = [requirement for module, requirement in self.packages.items() if find_spec(module) is None]
        quoted = " ".join(f"'{requirement}'" for requirement in lacking)
        return f"needs {' and '.join(lacking)}: pip install {quoted}" if lacking else ""

    def unavailable_for(self, case: Case) -> str:
        """The same for one case, where not every case needs all of it."""
        del case
        return self.unavailable()

    def misfit(self, case: Case) -> str:
        """Why a model of this kind is not for it; empty when it is."""
        if isinstance(case.model, self.models):
            return ""
        kinds = " or ".join(fields(kind)[0].name for kind in self.models)
        return f"takes a {kinds}, model is a {fields(case.model)[0].name}"

    def unsupported(self, case: Case) -> str:
        """Why it cannot compute this case; empty when it can. It never computes something else instead."""
        del case
        return ""

    def keep_in(self, cache: Path) -> None:
        """Called first, if at all: a folder that all runs share, for what is named by its content."""

    def cores(self, config: Config) -> int:
        """How many cores a run keeps busy."""
        return config.threads

    def configure(self, config: Config) -> Mapping[str, Any]:
        """Set threads, determinism and seeds in this process; what was set, for the record."""
        raise NotImplementedError

    def prepare(self, problem: Problem) -> None:
        """Make what is made once for many runs, as a compiled library; nobody takes its time."""
        del problem

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights."""
        raise NotImplementedError


class Program(Backend):
    """Base of the backends whose training is a program of its own: it can be watched, and not asked."""

    def configure(self, config: Config) -> Mapping[str, Any]:
        """Nothing: the program sets itself up."""
        del config
        return {}

    def record(self, case: Case, scratch: Path, progress: Progress) -> Facts:
        """Run the program to its end: all that was observed. scratch: a folder of the run's own."""
        raise NotImplementedError


Base = Backend
