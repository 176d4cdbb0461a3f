"""The index in memory: codes that are scanned, and columns on which conditions are worked out."""
