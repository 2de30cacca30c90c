"""What all contracts share: one test for each plugin, and what every plugin's file owes its reader."""

import sys
from typing import Any, ClassVar, NoReturn

import pytest

from harness.discover import Kind, get, plugins


def skip(who: str, why: object) -> NoReturn:
    """Skip a test for a reason that must be given."""
    assert str(why), f"{who}: cannot do this, and does not say why"
    pytest.skip(str(why))


class Contract:
    """Base of the contracts. names: the plugins to hold to it; empty for all that are found."""

    kind: ClassVar[Kind]
    names: ClassVar[tuple[str, ...]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give every test that takes a `plugin` one plugin's name after the other."""
        if "plugin" in metafunc.fixturenames:
            metafunc.parametrize("plugin", self.names or tuple(plugins(self.kind)))

    def load(self, plugin: str) -> Any:
        """The plugin's class; a broken plugin fails here, with its error."""
        return get(self.kind, plugin)

    def test_its_file_begins_with_one_line(self, plugin: str) -> None:
        """The first line of the file's docstring is what `harness list` shows."""
        self.load(plugin)
        about = plugins(self.kind)[plugin].about
        assert about.endswith((".", "?")), (
            f"{plugin}: expected a docstring of one sentence first, got {about!r}"
        )
        assert len(about) <= 120, f"{plugin}: the first line of the docstring has {len(about)} characters"

    def test_it_is_called_as_its_file(self, plugin: str) -> None:
        """One name for the file, the key in YAML and the plugin."""
        cls = self.load(plugin)
        assert cls.__module__.rpartition(".")[2] == plugin
        assert sys.modules[cls.__module__].__file__, "expected a file"

    def test_it_is_described(self, plugin: str) -> None:
        """The class has a docstring of its own."""
        assert self.load(plugin).__doc__, f"{plugin}: expected a docstring of the class"
