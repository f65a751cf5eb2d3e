"""Secrets and data classes in text that is about to leave: rules, exact vault values, checks of numbers, layers of encoding."""
