"""A bundle under ONNX Runtime: its encoder and its detector. No torch."""
