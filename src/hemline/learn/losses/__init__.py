"""Losses: pure functions over tensors first."""
