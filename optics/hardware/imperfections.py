"""Sizes and symmetry classes of the errors that separate a free-space bench from its model.

Forward-mode training needs the operator from loaded field to measured field, H, to be its own transpose. What matters
about an error is therefore first its symmetry class and only then its size:

- ``symmetric``: H stays complex symmetric whatever the size (same aberration at both faces, wrong distance).
- ``asymmetric``: H differs from its transpose (aberration at one face, displaced camera).
- ``weights``: acts on the modulation only, so H is untouched but the field thought to leave the modulator is wrong.
- ``measurement``: noise, rounding or drift of what is read.

Each entry of `CATALOGUE` names where its range comes from: [S2] the Methods of Xue et al., Nature 632, 280 (2024), DOI
10.1038/s41586-024-07687-4, as reported at seegala.com; [S9] github.com/shuxin626/Model-free-Computational-Optics; [S10]
Opt. Express 20, 22334 (2012); [S11] arXiv:2408.07672; [S12] github.com/holodyne/slmsuite, issue 150; [memory] not
confirmed; [check] our own calculation. The presets are choices of this project, not values of the paper. Left out:
polarisation, phase flicker and finite response time of the modulator, magnification of the camera.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from optics._checks import check_choice, check_in_range

SymmetryClass = Literal["symmetric", "asymmetric", "weights", "measurement"]
ZernikeTerms = tuple[tuple[int, float | int], ...]


@dataclass(frozen=True)
class Imperfections:
    """Sizes of all errors of one bench; zero, empty or None means absent.

    Aberrations are `((noll_index, waves), ...)`: peak to valley of the term, in wavelengths, on the disc inscribed in
    the panel (in the Fourier plane: in the band, of radius 1 / (2 pitch)). Signs of aberrations, distance error and
    rotation, and directions of shift and tilt, are drawn per bench; gain and exponent are as given.

    Attributes:
        slm_gain: Relative error of the phase stroke, phi -> (1 + gain) phi; above -1.
        slm_gamma: Deviation of the response exponent from 1, phi -> 2 pi (phi / 2 pi)^(1 + gamma).
        slm_spatial_variation: Relative variation of the stroke across the panel (rms of a second-order polynomial).
        slm_phase_error: Random static phase of each modulator pixel, rad rms.
        slm_crosstalk_px: Standard deviation of the Gaussian that blurs the phase between neighbours, in pixels.
        slm_levels: Number of phase levels over 2 pi; None for a continuous modulator.
        slm_zero_order: Fraction of the power that leaves unmodulated, 1 - eta.
        input_aberration: Zernike terms at the input face alone.
        both_faces_aberration: Zernike terms, the same at input and output face.
        fourier_aberration: Zernike terms in the Fourier plane of the propagation.
        camera_shift_px: Lateral displacement of the camera, in pixels of the modulator.
        camera_rotation: Rotation of the camera about the axis, rad.
        camera_tilt: Angle between reference and object axis, rad.
        distance_error: Error of the propagation distance, m; one above the distance itself always lengthens it.
        illumination_drop: Relative fall of the amplitude from the centre to the edge of the panel.
        loading_levels: Levels of amplitude and phase with which a field is loaded; None for continuous loading.
        reference_drift: Step of the random walk of the interferometer phase per measurement, rad.
        laser_drift: Standard deviation of the slow relative drift of the laser power.
        field_noise: White noise added to every measured field, rms relative to the rms of the field.
    """

    slm_gain: float | int = 0.0
    slm_gamma: float | int = 0.0
    slm_spatial_variation: float | int = 0.0
    slm_phase_error: float | int = 0.0
    slm_crosstalk_px: float | int = 0.0
    slm_levels: int | None = None
    slm_zero_order: float | int = 0.0
    input_aberration: ZernikeTerms = ()
    both_faces_aberration: ZernikeTerms = ()
    fourier_aberration: ZernikeTerms = ()
    camera_shift_px: float | int = 0.0
    camera_rotation: float | int = 0.0
    camera_tilt: float | int = 0.0
    distance_error: float | int = 0.0
    illumination_drop: float | int = 0.0
    loading_levels: int | None = None
    reference_drift: float | int = 0.0
    laser_drift: float | int = 0.0
    field_noise: float | int = 0.0

    def __post_init__(self):
        check_in_range(self.slm_zero_order, "slm_zero_order", 0, 1)
        check_in_range(self.illumination_drop, "illumination_drop", 0, 1)
        check_in_range(self.slm_gamma, "slm_gamma", -0.9, 10)
        check_in_range(self.slm_gain, "slm_gain", -0.99, 10)
        for name in (
            "slm_phase_error",
            "slm_crosstalk_px",
            "slm_spatial_variation",
            "reference_drift",
            "laser_drift",
            "field_noise",
        ):
            check_in_range(getattr(self, name), name, 0, float("inf"))
        for name in ("slm_levels", "loading_levels"):
            levels = getattr(self, name)
            if levels is not None:
                check_in_range(
                    levels, name, 2, 2**24, hint="None stands for a continuous modulator."
                )

    @classmethod
    def preset(cls, name: str) -> "Imperfections":
        """Hardware by name: ideal, careful, bench or rough (choices of this project).

        Raises:
            ValueError: If there is no such preset.
        """
        check_choice(name, "preset", PRESETS)
        return PRESETS[name]

    def scaled(self, factor: float | int) -> "Imperfections":
        """All sizes multiplied by `factor` (levels are kept), whole numbers as well as fractions."""
        changes = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_levels"):
                continue
            if field.name.endswith("_aberration"):
                changes[field.name] = tuple((j, waves * factor) for j, waves in value)
            else:
                changes[field.name] = value * factor
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class CatalogueEntry:
    """What is known of one imperfection.

    Attributes:
        unit: Unit of the size.
        realistic: Realistic size.
        source: Where it comes from, as listed in the module docstring.
        symmetry: Symmetry class, see the module docstring.
    """

    unit: str
    realistic: str
    source: str
    symmetry: SymmetryClass


CATALOGUE: dict[str, CatalogueEntry] = {
    "slm_gain": CatalogueEntry(
        "1", "0.95-1.05 after a global look-up table", "[memory], [S12]", "weights"
    ),
    "slm_gamma": CatalogueEntry("1", "exponent 0.9-1.1", "[memory], [S12]", "weights"),
    "slm_spatial_variation": CatalogueEntry("1", "5-15 % before correction", "[memory]", "weights"),
    "slm_phase_error": CatalogueEntry("rad rms", "choice of this project", "choice", "asymmetric"),
    "slm_crosstalk_px": CatalogueEntry("px", "0.3-1 px", "[S10], [S11], width [memory]", "weights"),
    "slm_levels": CatalogueEntry("levels", "256 (8 bit)", "[S2]", "weights"),
    "slm_zero_order": CatalogueEntry("1", "eta 0.91, so 0.09", "[S2]", "weights"),
    "input_aberration": CatalogueEntry(
        "waves", "0.1-1 bare, < 0.1 corrected", "[S11], [memory]", "asymmetric"
    ),
    "both_faces_aberration": CatalogueEntry(
        "waves", "0.1-1 bare, < 0.1 corrected", "[S11], [memory]", "symmetric"
    ),
    "fourier_aberration": CatalogueEntry(
        "waves",
        "symmetric for even terms, asymmetric for odd ones (coma, trefoil, tilt)",
        "choice",
        "asymmetric",
    ),
    "camera_shift_px": CatalogueEntry(
        "px", "0.1-3 px after manual alignment", "[memory], [S9]", "asymmetric"
    ),
    "camera_rotation": CatalogueEntry("rad", "0.01-0.5 deg", "[memory]", "asymmetric"),
    "camera_tilt": CatalogueEntry("rad", "0.1-5 mrad", "[memory]", "asymmetric"),
    "distance_error": CatalogueEntry("m", "0.1-2 mm in 0.2-0.4 m", "[memory]", "symmetric"),
    "illumination_drop": CatalogueEntry("1", "10-40 % edge drop", "[memory]", "asymmetric"),
    "loading_levels": CatalogueEntry("levels", "256 (8 bit)", "[S2]", "measurement"),
    "reference_drift": CatalogueEntry(
        "rad", "< 0.1 rad over a data-error pair", "[check]", "measurement"
    ),
    "laser_drift": CatalogueEntry("1", "0.5-2 %", "[memory]", "measurement"),
    "field_noise": CatalogueEntry(
        "1", "10 / 30 / 100 % in the check of section 3.6", "[check]", "measurement"
    ),
}

PRESETS: dict[str, Imperfections] = {
    # All four are choices of this project; "bench" is a table aligned by hand. "careful" is a bench after
    # calibration: refocused digitally to 30 um, unmodulated light filtered out, look-up table measured.
    "ideal": Imperfections(),
    "careful": Imperfections(
        slm_gain=0.01,
        slm_gamma=0.01,
        slm_crosstalk_px=0.2,
        slm_levels=256,
        slm_zero_order=0.002,
        input_aberration=((6, 0.02),),
        camera_shift_px=0.1,
        camera_rotation=2e-4,
        distance_error=3e-5,
        loading_levels=256,
        reference_drift=0.005,
        laser_drift=0.005,
    ),
    "bench": Imperfections(
        slm_gain=0.03,
        slm_gamma=0.05,
        slm_spatial_variation=0.03,
        slm_crosstalk_px=0.4,
        slm_levels=256,
        slm_zero_order=0.09,
        input_aberration=((6, 0.05),),
        both_faces_aberration=((6, 0.25),),
        camera_shift_px=0.5,
        camera_rotation=3.5e-3,
        distance_error=5e-4,
        illumination_drop=0.1,
        loading_levels=256,
        reference_drift=0.02,
        laser_drift=0.01,
    ),
    "rough": Imperfections(
        slm_gain=0.1,
        slm_gamma=0.1,
        slm_spatial_variation=0.1,
        slm_phase_error=0.3,
        slm_crosstalk_px=0.7,
        slm_levels=256,
        slm_zero_order=0.2,
        input_aberration=((6, 0.25),),
        both_faces_aberration=((6, 1.0),),
        camera_shift_px=2.0,
        camera_rotation=8.7e-3,
        camera_tilt=5e-4,
        distance_error=2e-3,
        illumination_drop=0.3,
        loading_levels=256,
        reference_drift=0.05,
        laser_drift=0.02,
    ),
}
