"""Manifests, images, preprocessing, the contracts of protocols, and the check of a manifest."""
