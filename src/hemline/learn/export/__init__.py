"""From a trained or pre-trained model to a bundle: ONNX graphs, description and model card."""
