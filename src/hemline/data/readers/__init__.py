"""One file for each data set's own format."""
