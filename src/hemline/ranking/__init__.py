"""The retrieval core, NumPy only: metrics, merging of re-ranked hits, fusion, tags, distances."""
