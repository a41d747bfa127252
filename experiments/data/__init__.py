"""Data sets and the tasks made of them.

Reading order: `datasets` (found, or fetched with a checksum), `omniglot`, `tasks` (classes drawn by seed,
on the device).
"""
