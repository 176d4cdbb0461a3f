"""Conditions over stored columns (``--where``): parsing and evaluation."""
