"""Series without a change, of every kind that timings come in; and one with a step."""

import numpy as np

KINDS = ("white", "student", "outliers", "correlated 0.3", "correlated 0.45", "correlated 0.6")
TIMING = (0.02, 0.03)
"""Typical noise of a step time, as a share."""


def noise(kind, generator, size):
    """Values of standard deviation one, or near it."""
    if kind == "student":
        return generator.standard_t(3, size) / np.sqrt(3)
    values = generator.standard_normal(size)
    if kind == "outliers":
        hit = generator.random(size) < 0.05
        values[hit] += generator.lognormal(1.5, 0.7, hit.sum())
    if kind.startswith("correlated"):
        return correlated(values, float(kind.split()[1]))
    return values


def correlated(values, share):
    found = values.copy()
    for place in range(1, len(found)):
        found[place] = share * found[place - 1] + np.sqrt(1 - share**2) * values[place]
    return found


def still(kind, count, seed=2026):
    """Series of 30 to 300 values around 1 whose level never changes."""
    generator = np.random.default_rng([seed, *kind.encode()])
    return [1 + 0.025 * noise(kind, generator, generator.integers(30, 301)) for _ in range(count)]


def stepped(kind, count, step, since=5, before=(60, 200)):
    """Series with one step `since` values before their end, and where that is; typical timing noise."""
    generator = np.random.default_rng([2026, *kind.encode(), 1])
    for _ in range(count):
        at = int(generator.integers(*before))
        values = 1 + generator.uniform(*TIMING) * noise(kind, generator, at + since)
        values[at:] *= 1 + step
        yield values, at
