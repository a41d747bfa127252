"""Echoes of molecules by NMR: one file, one figure, one claim.

`nmr_echo` (with `nmr_echo_pulses`, `nmr_echo_published`), `nmr_circuits`, `nmr_mitigation`, `nmr_geometry`
(with `nmr_geometry_verdict`).
"""
