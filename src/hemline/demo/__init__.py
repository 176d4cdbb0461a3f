"""The demo: a generated shop, its catalogue, and street photos to search it with."""
