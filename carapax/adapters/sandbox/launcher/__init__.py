"""The launcher of the default tier: a small C program in two stages, before and behind bubblewrap.

Layer: adapters/sandbox. `build` makes it; the comments at the head of its sources are its documentation.
"""
