"""Activations are watched in one pass, and ranges are chosen from what was seen."""
