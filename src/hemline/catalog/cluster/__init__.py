"""Embedding on the machines of a Ray cluster, ahead of the commits."""
