"""Revisions, oldest first: NNNN_words.py. A revision never changes once released."""
