"""What comes in: manifests, pictures, readers, protocols, and the atelier that draws."""
