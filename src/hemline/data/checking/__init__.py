"""Finds broken images, duplicates and leaks between splits; `check.check_manifest` runs it."""
