"""Hypothesis strategies that tests of several packages share."""
