"""Userland: the loop, the prompt, the small-model profile. Holds no authority: a wish is only handed on."""
