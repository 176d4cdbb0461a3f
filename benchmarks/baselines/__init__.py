"""Baselines that only benchmarks and tests use."""
