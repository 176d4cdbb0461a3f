"""Layers of the papers, each tested against a slow reference."""
