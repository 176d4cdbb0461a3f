"""The paper's way to a compact bilinear sketch: location by location, by the Fourier transform."""

from __future__ import annotations

import torch
from torch import Tensor

from hemline.learn.layers.bilinear import CompactBilinear, count_sketch


def sketch_by_fft(layer: CompactBilinear, first: Tensor, second: Tensor) -> Tensor:
    """(B, C₁, L), (B, C₂, L) → (B, size). AHBN, Eq. 11."""

    def at_locations(features: Tensor, buckets: Tensor, signs: Tensor) -> Tensor:
        rows = features.transpose(1, 2).reshape(-1, features.shape[1])
        sketch = count_sketch(rows, buckets, signs, layer.size)
        return sketch.view(features.shape[0], features.shape[2], layer.size)

    one = at_locations(first, layer.first_buckets, layer.first_signs)
    two = at_locations(second, layer.second_buckets, layer.second_signs)
    product = torch.fft.rfft(one, dim=2) * torch.fft.rfft(two, dim=2)
    return torch.fft.irfft(product, n=layer.size, dim=2).mean(dim=1)
