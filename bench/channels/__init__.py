"""Measurements of the messengers, against a real gateway."""
