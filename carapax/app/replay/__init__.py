"""Replaying hijacked models against the guard: no model runs, so no luck can hide anything.

Layer: app. `world` is what is replayed (tools, tasks, attacks), `sets` reads one from a folder, `recorded` plays a read
one, `orders` says in which order an attacker strikes, `people` who answers the cards, `stage` is a guard with everything
it needs, `play` drives one run through it, `score` counts, `report` prints.
Absent: any view of the guard's inside; only `submit`, `submit_all` and events are used. Guide: docs/replay.md.
"""
