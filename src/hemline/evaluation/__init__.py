"""The same measures for a checkpoint and for what is served."""
