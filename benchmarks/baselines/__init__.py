"""Baselines and metrics that only benchmarks and tests use."""
