"""The retrieval core: metrics, merging of re-ranked hits, fusion of several queries. NumPy only."""
