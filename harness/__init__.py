"""A regression benchmark and reproducibility suite for neural-network training."""

__version__ = "0.1.0"
