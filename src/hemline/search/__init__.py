"""What runs in a shop, without PyTorch: bundle, encoder, catalogue, re-ranking, engine."""
