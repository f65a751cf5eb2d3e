"""Programs of their own on the same core; none in this release."""
