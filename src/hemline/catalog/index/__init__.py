"""The index in memory: quantised vectors for the search, columns for conditions and facets."""
