"""Models, losses, training and export: the only package that imports PyTorch."""
