"""The reference monitor: the only place that turns a model's wish into authority.

A proposal is canonicalised, judged, asked about, recorded, sealed, run, and its result labelled, in that order
and nowhere else. Small enough to read in an hour. Start with `monitor.py`.
"""
