"""A catalogue made equal to a shop's product feed."""
