"""What we know of the echo curves of the NMR companion, arXiv:2510.19550, and how far it compares.

We have not seen the paper's supplement: its numbers are as reported by public study notes (a third party's, not
checked). The estimates below are this project's own, computed once from the lengths of `quantum.spins.molecule` by
other code.
"""

import math

from experiments.harness.measurement import Reference

# Our estimates by other code: dense matrices from this geometry, Hz and C(t) on the grid.
ESTIMATED_COUPLINGS = {
    (0, 2): 50, (0, 4): -76, (0, 6): -45, (1, 2): -241, (1, 4): -192, (1, 6): -100, (2, 3): 27, (2, 4): -1379,
    (2, 5): -30, (4, 5): 27, (2, 6): -126, (4, 6): -395, (6, 7): 1883,
}  # fmt: skip
ESTIMATED_CURVE = (1, 0.949, 0.804, 0.814, 0.735, 0.653, 0.589, 0.525, 0.536, 0.473, 0.361)
_UNKNOWN = "butterfly angle, chemical shifts, J and the table of couplings of the paper are unknown to us; "
REFERENCES = (
    Reference("coupling.c_h1", -4139.0, None, "Hz", "SI table", "table", True,
              note="as reported by study notes; ours from bond length and order tensor"),
    Reference("coupling.methyl", 1883.0, None, "Hz", "our estimate", "derived", False,
              note="by other code; our angle of the methyl group was chosen for it"),
    Reference("coupling.off_estimates", 0.0, 0.5, "Hz", "our estimates", "derived", True,
              note="13 couplings by other code, rounded to 1 Hz"),
    Reference("curve.off_estimates", 0.0, 0.0005, "", "our estimates", "derived", True,
              note="11 points from dense matrices by other code, rounded to three digits"),
    Reference("bump_ms.printed", 1.5, None, "ms", "toluene curve", "stated in text", False,
              note=_UNKNOWN + "not reproduced with 2/9 of 2 D I_z S_z"),
    Reference("bump_ms.once", 1.5, None, "ms", "toluene curve", "stated in text", False,
              note=_UNKNOWN + "the coupling counted as D I_z S_z"),
    Reference("bump_ms.pulses", 1.5, None, "ms", "toluene curve", "stated in text", False,
              note=_UNKNOWN + "our cycle of 36 windowless pulses, one block in three with the probe"),
    Reference("only_bond.printed", 0.02, None, "", "study notes", "stated in text", False,
              note="upper bound of the first six points of the notes' own calculation, reading not stated"),
    Reference("only_bond.once", 0.02, None, "", "study notes", "stated in text", False,
              note="as above"),
    Reference("sensitivity", 0.004, None, "", "our estimates", "derived", True,
              note="rms over the 11 points, only the two ortho-meta couplings moved by 0.02 A"),
    Reference("eta_heter.two_blocks", 2 / 9, None, "", "SI", "stated in text", False,
              note="second-hand; ours with 90 degree pulses of no length, see dipolar_sequences"),
    Reference("eta_heter.tardis_1", 2 / 3, None, "", "SI", "stated in text", False,
              note="second-hand; above 1/sqrt(3), which bounds every such cycle, if it multiplies 2 D I_z S_z"),
    Reference("eta_homo.tardis_1", 1 / math.pi, None, "", "SI", "stated in text", True,
              note="second-hand"),
    Reference("loschmidt.two_blocks.rf", None, None, "", "SI", "stated in text", False,
              note="the paper has a Loschmidt echo that decays; its values are unknown to us"),
)  # fmt: skip
