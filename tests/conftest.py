"""Settings for all tests."""

from hypothesis import settings

# The same examples on every machine, no time limit on a busy one, and no folder left behind.
settings.register_profile("harness", deadline=None, derandomize=True, database=None)
settings.load_profile("harness")
