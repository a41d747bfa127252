"""Experiments: one file, one figure, one claim, each shown beside the published numbers."""
