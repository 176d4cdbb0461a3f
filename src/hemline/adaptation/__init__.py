"""A bundle is adapted to a shop's own images: fitted linear maps for street and shop."""
