"""One way to compute a training a file. A backend makes a `Trainer`, or says in a sentence why it cannot."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, ClassVar

from harness.problem import Problem
from harness.spec import Case, Config
from harness.trainer import Trainer


class Backend:
    """Base of all backends. Stateless; importing its file loads no framework.

    packages: what must be installed, with the requirement to install. preload: modules that the fork server
    imports before it forks. reference: it is the one that others are held to.
    """

    packages: ClassVar[Mapping[str, str]] = {}
    preload: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The backend's name in YAML: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    def unavailable(self) -> str:
        """Why this machine cannot run it, with what to install; empty when it can. Imports nothing."""
        lacking = [requirement for module, requirement in self.packages.items() if find_spec(module) is None]
        quoted = " ".join(f"'{requirement}'" for requirement in lacking)
        return f"needs {' and '.join(lacking)}: pip install {quoted}" if lacking else ""

    def unsupported(self, case: Case) -> str:
        """Why it cannot compute this case; empty when it can. It never computes something else instead."""
        del case
        return ""

    def configure(self, config: Config) -> Mapping[str, Any]:
        """Set threads, determinism and seeds in this process; what was set, for the record."""
        raise NotImplementedError

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights."""
        raise NotImplementedError


Base = Backend
