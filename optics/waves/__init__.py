"""Waves in free space: the field and what a plane does to it.

Reading order: `field`, `shifts`, `sources`, `elements`, `zernike`; `propagation` (exact kernel), `fresnel` (quadratic
phase), `sampling` (which of them, and when it aliases). Imports `optics._checks` only.
"""
