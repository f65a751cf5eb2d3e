"""A shell command in the workspace, inside the sandbox."""
