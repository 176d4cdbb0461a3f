"""``hemline doctor``: whether a catalogue can be served from this machine, and what to do."""
