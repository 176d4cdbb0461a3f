"""The demo: a shop drawn by the atelier, its catalogue, and street photos that ask it."""
