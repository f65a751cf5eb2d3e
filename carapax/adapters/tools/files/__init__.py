"""Tools over the files of the workspace; they run inside the sandbox."""
