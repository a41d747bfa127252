"""Hidden scene: a programmed wavefront crosses a diffusing wall, meets an object, and comes back through the same wall.

With P_1 free space from the modulator to the wall, W the wall (a phase screen), P_2 free space from the wall to the
object, O the amplitude reflectivity of the object, all acting on fields u at the modulator,

    E = P_1 W P_2 O P_2 W P_1 = T^T O T,    T = P_2 W P_1,

because the camera sees the plane of the modulator (a beam splitter parts the two). Every factor is symmetric, so
E^T = T^T O^T T = E for any object plane O = O^T and any wall: the error of forward-mode training enters where the data
entered, crosses wall, object and wall again, and comes out as E^T c. It crosses the object too, and must, for O belongs
to the operator. The object has to stand still during one pair of data and error pass; gradients of several objects add.
Source of the principle: Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 4. Its distances,
wall, grid of cells, regions and loss are unknown to us: all of them are parameters here, the defaults our choice.
Left out: depth of the object, its roughness, light that leaves the window, and time of flight.
"""

import dataclasses
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float, Inexact, PRNGKeyArray

from optics._checks import check_finite, check_in_range, check_positive, check_shape
from optics._dark import quotient
from optics._numbers import as_complex, as_inexact, as_real, into, takes_numbers
from optics.hardware.bench import OpticalBench
from optics.hardware.detectors import Camera
from optics.hardware.imperfections import Imperfections
from optics.hardware.twin import draw_twin
from optics.media.free_space import FreeSpace, make_free_space
from optics.media.geometry import Geometry
from optics.media.scattering import phase_screen
from optics.networks.diffractive import DiffractiveNetwork, make_network
from optics.networks.readout import IntensityTarget, Readout
from optics.waves.field import intensity, over_batch


@dataclass(frozen=True)
class SceneGeometry:
    """Planes of a hidden scene; every default is our choice.

    Attributes:
        shape: Grid (ny, nx) of modulator, wall, object plane and camera.
        pixel_pitch: Pitch of all of them, m.
        wavelength: Wavelength, m.
        to_wall: Modulator (and camera) to the wall, m.
        to_object: Wall to the object, m.
        wall_phase: Standard deviation of the wall's phase, rad; exp(-wall_phase^2) of the power stays ballistic.
        wall_correlation: 1/e correlation length of that phase, m.
    """

    shape: tuple[int, int] = (64, 64)
    pixel_pitch: float = 8e-6
    wavelength: float = 532e-9
    to_wall: float = 5e-3
    to_object: float = 5e-3
    wall_phase: float = 3.0
    wall_correlation: float = 32e-6

    def __post_init__(self):
        for name in ("pixel_pitch", "wavelength", "to_wall", "to_object", "wall_correlation"):
            check_positive(getattr(self, name), name, "m")
        check_in_range(self.wall_phase, "wall_phase", 0, 100, "rad")
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ValueError(f"`shape` must be two positive sizes (ny, nx), but is {self.shape}.")

    @property
    def module(self) -> Geometry:
        """Data sheet of the module between modulator and wall, which is all that is not hidden."""
        return Geometry(self.shape, self.pixel_pitch, self.wavelength, self.to_wall)


class RoundTrip(eqx.Module):
    """E of the module's text as a linear map on fields; stands where a bench or network has its free space.

    Attributes:
        to_wall: Modulator to wall.
        to_object: Wall to object, and back.
        to_camera: Wall to camera; equal to `to_wall` unless the camera is displaced.
        wall: Transmission of the wall.
        objects: Amplitude reflectivity, one object for all fields `(y, x)` or one for each `(batch, y, x)`.
    """

    to_wall: FreeSpace
    to_object: FreeSpace
    to_camera: FreeSpace
    wall: Complex[Array, "y x"] = eqx.field(converter=into(as_complex, "wall"))
    objects: Inexact[Array, "*objects y x"] = eqx.field(converter=into(as_inexact, "objects"))

    @takes_numbers
    def illuminate(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """T u: the field that falls on the object."""
        at_wall = self.to_wall(field)
        return self.to_object(over_batch(self.wall, at_wall) * at_wall)

    @takes_numbers
    def __call__(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Field at the camera; field k of a batch meets object k where there are several.

        Raises:
            ValueError: If there are several objects but not one for each field.
        """
        on_object = self.illuminate(field)
        at_wall = self.to_object(self._reflected(on_object))
        return self.to_camera(over_batch(self.wall, at_wall) * at_wall)

    @takes_numbers
    def backward(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Light from the camera back to the modulator, E^T u: the same planes in the other order.

        Raises:
            ValueError: See `__call__`.
        """
        at_wall = self.to_camera.backward(field)
        on_object = self.to_object.backward(over_batch(self.wall, at_wall) * at_wall)
        at_wall = self.to_object.backward(self._reflected(on_object))
        return self.to_wall.backward(over_batch(self.wall, at_wall) * at_wall)

    def _reflected(self, on_object):
        objects = self.objects
        if objects.ndim > 2 and objects.shape != on_object.shape:
            raise ValueError(
                f"`objects` must be one `(y, x)` or one for each field {on_object.shape}, but its shape is "
                f"{objects.shape}."
            )
        reflected = over_batch(objects, on_object) if objects.ndim == 2 else objects
        return reflected.astype(on_object.dtype) * on_object


def make_round_trip(
    geometry: SceneGeometry, *, wall_key: PRNGKeyArray | None, dtype=jnp.complex64
) -> RoundTrip:
    """Round trip of the nominal geometry with a mirror for an object.

    Args:
        geometry: Planes and statistics of the wall.
        wall_key: PRNG key of the wall; None leaves the wall out, which is what a model knows that nobody told of it.
        dtype: complex64 or complex128.
    """
    legs = [
        make_free_space(
            geometry.shape, geometry.pixel_pitch, geometry.wavelength, distance, dtype=dtype
        )
        for distance in (geometry.to_wall, geometry.to_object)
    ]
    wall = jnp.ones(geometry.shape, dtype)
    if wall_key is not None:
        screen = phase_screen(
            geometry.shape,
            geometry.pixel_pitch,
            geometry.wall_phase,
            geometry.wall_correlation,
            key=wall_key,
            dtype=jnp.finfo(dtype).dtype,
        )
        wall = jnp.exp(1j * screen).astype(dtype)
    mirror = jnp.ones(geometry.shape, jnp.finfo(dtype).dtype)
    return RoundTrip(legs[0], legs[1], legs[0], wall, mirror)


def draw_hidden_bench(
    geometry: SceneGeometry,
    hardware: Imperfections,
    *,
    wall_key: PRNGKeyArray,
    key: PRNGKeyArray,
    camera: Camera | None = None,
    dtype=jnp.complex64,
) -> OpticalBench:
    """Opaque bench behind whose wall an object stands: fields in, measured fields out.

    Distance error and displaced camera act on the way between wall and modulator plane.

    Args:
        geometry: Nominal planes.
        hardware: Errors of modulator, module and camera.
        wall_key: PRNG key of the wall.
        key: PRNG key of the errors.
        camera: Camera of all measurements; None measures without noise.
        dtype: complex64 or complex128.

    Raises:
        ValueError: If the errors hold a Fourier-plane aberration, which a scene of three legs has no place for.
    """
    if hardware.fourier_aberration:
        raise ValueError(
            f"`fourier_aberration` must be empty for a hidden scene, but is {hardware.fourier_aberration}; "
            "use `both_faces_aberration`."
        )
    twin = draw_twin(geometry.module, hardware, key=key, dtype=dtype)
    hidden = make_round_trip(geometry, wall_key=wall_key, dtype=dtype)
    to_camera = twin.free_space  # true distance, true position of the camera
    assert isinstance(to_camera, FreeSpace), "no scatterer was asked for"
    to_wall = make_free_space(
        geometry.shape,
        geometry.pixel_pitch,
        geometry.wavelength,
        float(to_camera.distance),
        dtype=dtype,
    )
    hidden = dataclasses.replace(hidden, to_wall=to_wall, to_camera=to_camera)
    twin = eqx.tree_at(lambda t: t.free_space, twin, hidden)
    return OpticalBench(geometry.module, twin, camera=camera)


@takes_numbers
def place(bench: OpticalBench, objects: Inexact[Array, "*objects y x"]) -> OpticalBench:
    """Bench with other objects behind its wall: the experimenter's hand, not the learner's.

    Args:
        bench: Made by `draw_hidden_bench`.
        objects: Amplitude reflectivities, one `(y, x)` or one for each field that will be loaded.
    """
    check_finite(objects, "objects")
    check_shape(objects, "objects", bench.geometry.shape, "The scene was built for this grid.")
    return eqx.tree_at(lambda b: b.reveal().free_space.objects, bench, objects)


@takes_numbers
@eqx.filter_jit
def power_on_object(
    bench: OpticalBench, field: Complex[Array, "y x"], phase: Float[Array, "y x"]
) -> Float[Array, ""]:
    """Power that falls on the whole object plane for a loaded field and phase, in units of |field|^2.

    For bookkeeping alone: a power meter in the hidden scene would tell it, a learner never sees it.
    """
    twin = bench.reveal()
    modulated = twin.modulation(phase) * field * twin.input_face
    hidden = twin.free_space
    assert isinstance(hidden, RoundTrip), "made by draw_hidden_bench"
    return jnp.sum(intensity(hidden.illuminate(modulated)))


class CellReadout(eqx.Module):
    """Camera regions, one for each cell of the object, and the loss that makes their powers a picture of the cells.

    With p the region powers and t the wanted reflectivities (power) of a batch,

        L = min over g of sum (g p - t)^2 / sum t^2 = 1 - (sum p t)^2 / (sum p^2 sum t^2),

    sums over all objects and cells: one gain g for everything, chosen in electronics. Our choice; the paper's loss is
    unknown. L = 0 exactly if every region shows its own cell and nothing else, equally bright.

    Attributes:
        regions: Region masks in the order of the cells.
    """

    regions: Float[Array, "cells y x"] = eqx.field(converter=into(as_real, "regions"))

    @takes_numbers
    def powers(self, field: Complex[Array, "*batch y x"]) -> Float[Array, "*batch cells"]:
        """Power in each region."""
        return read_regions(intensity(field), self.regions)

    @takes_numbers
    def loss(
        self, field: Complex[Array, "batch y x"], targets: Float[Array, "batch cells"]
    ) -> Float[Array, ""]:
        """L of the class's text."""
        return picture_loss(self.powers(field), targets)


@takes_numbers
def picture_loss(
    powers: Float[Array, "batch cells"], targets: Float[Array, "batch cells"]
) -> Float[Array, ""]:
    """Relative squared error of region powers after the best common gain; see `CellReadout`."""
    scale = jnp.sum(powers**2) * jnp.sum(targets**2)
    return 1 - quotient(jnp.sum(powers * targets) ** 2, scale)


@takes_numbers
def read_regions(
    intensity: Float[Array, "*batch y x"], regions: Float[Array, "cells y x"]
) -> Float[Array, "*batch cells"]:
    """Sums of a camera frame over regions: the whole computation behind an all-optical picture."""
    flat = intensity.reshape(*intensity.shape[:-2], -1)
    return flat @ regions.reshape(regions.shape[0], -1).T


def square_cells(
    shape: tuple[int, int], cells: tuple[int, int], *, extent: float = 0.75, side: int | None = None
) -> Float[Array, "cells y x"]:
    """Masks of a regular grid of squares, row by row, centred on the window.

    Args:
        shape: Grid (ny, nx).
        cells: Rows and columns.
        extent: Part of the window that the grid of squares spans, in (0, 1].
        side: Side of each square, pixels; None lets neighbours touch (object cells), a small number leaves dark gaps
            between them (camera regions).

    Raises:
        ValueError: If the squares do not fit or would overlap.
    """
    check_in_range(extent, "extent", 0, 1)
    pitch = [int(extent * n / max(count, 1)) for n, count in zip(shape, cells, strict=True)]
    side = min(pitch) if side is None else side
    if min(cells) < 1 or side < 1 or side > min(pitch):
        raise ValueError(
            f"`cells` {cells} of side {side} px must fit on {extent:g} of a {shape} window without touching more than "
            f"their edges, but the distance of their centres is {min(pitch)} px; use a larger window or fewer cells."
        )
    masks = np.zeros((cells[0] * cells[1], *shape))
    for index, (row, column) in enumerate(np.ndindex(*cells)):
        # Twice the coordinates stay whole numbers, so that no rounding breaks the regular grid.
        top, left = (
            (n + (2 * i - count + 1) * step - side) // 2
            for n, i, count, step in zip(shape, (row, column), cells, pitch, strict=True)
        )
        masks[index, top : top + side, left : left + side] = 1
    return jnp.asarray(masks)


@takes_numbers
def reflectivity_of_cells(
    objects: Float[Array, "*batch y x"], cells: Float[Array, "cells y x"]
) -> Float[Array, "*batch cells"]:
    """Power reflectivity that a perfect picture shows: square of the mean amplitude reflectivity of each cell.

    A cell that is covered by half sends half the amplitude into its region, where its light meets in phase, hence a
    quarter of the power.
    """
    covered = read_regions(objects, cells)
    return (covered / over_batch(jnp.sum(cells, axis=(-2, -1)), covered)) ** 2


@takes_numbers
def move_pattern(
    pattern: Float[Array, "rows columns"],
    shape: tuple[int, int],
    *,
    side: float | int,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    angle: ArrayLike = 0.0,
) -> Float[Array, "y x"]:
    """Lays a pattern of squares anywhere on the object plane, off the grid of cells and turned.

    Args:
        pattern: Amplitude reflectivity of each square.
        shape: Grid (ny, nx).
        side: Side of one square, pixels.
        centre: Displacement (dy, dx) of the pattern's middle from that of the window, pixels.
        angle: Rotation in rad, positive from +x to +y.

    Returns:
        Amplitude reflectivity, zero outside the pattern; a pixel belongs to the square that its centre lies in.
    """
    check_positive(side, "side", "px")
    y, x = (jnp.arange(n) - (n - 1) / 2 - shift for n, shift in zip(shape, centre, strict=True))
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    along = cosine * x[None, :] + sine * y[:, None]
    across = cosine * y[:, None] - sine * x[None, :]
    rows, columns = pattern.shape
    row = jnp.floor(across / side + rows / 2).astype(int)
    column = jnp.floor(along / side + columns / 2).astype(int)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    picked = pattern[jnp.clip(row, 0, rows - 1), jnp.clip(column, 0, columns - 1)]
    return jnp.where(inside, picked, 0)


def make_wavefront(
    geometry: SceneGeometry,
    readout: CellReadout | Readout,
    *,
    key: PRNGKeyArray,
    dtype=jnp.complex64,
) -> DiffractiveNetwork:
    """One trainable phase pattern, random at the start, and a model of what follows it: the scene without a wall.

    Only in-silico training uses the model.

    Args:
        geometry: Nominal planes.
        readout: What the camera frame is used for.
        key: PRNG key of the first phases.
        dtype: complex64 or complex128.
    """
    model = make_round_trip(geometry, wall_key=None, dtype=dtype)
    network = make_network(geometry.module, 1, IntensityTarget(), key=key, dtype=dtype)
    real = jnp.finfo(dtype).dtype
    readout = jax.tree.map(lambda a: jnp.asarray(a, real), readout)
    return eqx.tree_at(lambda n: (n.free_space, n.readout), network, (model, readout))
