"""Experiments: one file, one figure, one claim; and the harness that runs, stores and reports them."""
