"""Data sets and the tasks made of them.

Reading order: `mnist_files` (fetched with a checksum), `omniglot`, `datasets` (found, or fetched), `tasks` (classes
drawn by seed, on the device).
"""
