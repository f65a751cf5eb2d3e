"""The embedded model: a small language model on this machine's own processor, in a child process."""
