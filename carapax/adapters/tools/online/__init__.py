"""A shell command in the workspace that may leave it through the egress proxy."""
