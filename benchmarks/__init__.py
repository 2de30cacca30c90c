"""What the suite promises about its own speed and memory, measured beside its peer in the same run."""
