"""Detectors, which find the garments of an image before it is searched."""
