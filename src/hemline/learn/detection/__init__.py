"""Detectors: they find the garments on a picture before it is searched."""
