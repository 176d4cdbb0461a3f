"""One file for each family of trunks."""
