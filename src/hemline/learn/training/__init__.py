"""Stages, samplers, batches, augmentation, the Lightning module."""
