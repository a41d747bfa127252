"""Differentiable wave optics, an opaque hardware twin, and the ways to train a system on it."""
