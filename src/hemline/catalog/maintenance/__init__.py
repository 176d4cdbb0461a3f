"""Maintenance of a catalogue: check, repair, compaction, backup, rebuild and export."""
