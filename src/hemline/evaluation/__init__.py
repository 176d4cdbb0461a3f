"""Evaluation: the same protocols and metrics for checkpoints and for bundles."""
