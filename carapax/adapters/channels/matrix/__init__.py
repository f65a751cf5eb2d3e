"""Matrix: an account on a homeserver, with end-to-end encryption."""
