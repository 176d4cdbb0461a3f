"""What comes into a catalogue: manifests, product feeds and single updates."""
