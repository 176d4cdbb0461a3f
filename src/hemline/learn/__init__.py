"""PyTorch lives here and nowhere else: models, losses, training, export."""
