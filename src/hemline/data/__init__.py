"""Manifests, images, preprocessing, and the contract of evaluation protocols."""
