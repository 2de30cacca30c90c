"""Contract tests for plugins, shipped with the package, and healthy facts to test a check of your own with.

In the tests of a package that brings plugins:

    from harness.testing import CheckContract

    class TestPerplexity(CheckContract):
        names = ("perplexity",)     # without this line: all checks that are found

`ProbeContract`, `BackendContract` and `ObserverContract` work alike. Needs pytest, which nothing else of
`harness` imports.
"""

import pytest

pytest.register_assert_rewrite(
    "harness.testing.contract",
    "harness.testing.checks",
    "harness.testing.probes",
    "harness.testing.backends",
    "harness.testing.observers",
)

from harness.testing.backends import BackendContract  # noqa: E402 - asserts are rewritten on import
from harness.testing.checks import CheckContract, example  # noqa: E402 - as above
from harness.testing.contract import Contract  # noqa: E402 - as above
from harness.testing.healthy import healthy_facts, healthy_problem, healthy_trace  # noqa: E402 - as above
from harness.testing.observers import ObserverContract  # noqa: E402 - as above
from harness.testing.probes import ProbeContract  # noqa: E402 - as above
from harness.testing.sample import (  # noqa: E402 - as above
    observe,
    relative_distances,
    sample_case,
    sample_facts,
    sample_problem,
)

__all__ = [
    "BackendContract",
    "CheckContract",
    "Contract",
    "ObserverContract",
    "ProbeContract",
    "example",
    "healthy_facts",
    "healthy_problem",
    "healthy_trace",
    "observe",
    "relative_distances",
    "sample_case",
    "sample_facts",
    "sample_problem",
]
