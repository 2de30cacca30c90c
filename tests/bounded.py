"""Cases with bounds, and where their numbers stand, for tests of calibration."""

import re

from tiny import write

from harness.cases import load_cases

EXPECT = """\
expect:
  initial_loss: {uniform: 5%}
  loss_drop: {at_least: 3%}   # a comment
  gradients: {"*": {norm: [1e-4, 10]}}
  peak_memory: {at_most: 64 MiB}
"""


def case_of(folder, *changes):
    path = write("tiny", ("expect:\n  parameters: 920\n", EXPECT), *changes, folder=folder)
    return load_cases([path]).cases[0]


def numbers_in(node, keys=()):
    """The places of all numbers, and quantities, below a node."""
    children = (
        node.mapping.items()
        if node.mapping
        else enumerate(node.value if isinstance(node.value, list) else ())
    )
    found = [place for key, child in children for place in numbers_in(child, (*keys, key))]
    return found or ([keys] if re.match(r"[-+]?[0-9.]", node.text) else [])
