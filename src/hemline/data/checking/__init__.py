"""Finds broken images, duplicates and leaks between splits; `check.check` runs it all."""
