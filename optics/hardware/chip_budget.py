"""Energy and area of a photonic chiplet from stated assumptions: what runs per image, and what it covers.

    energy per image = heaters n_phases / rate + modulators n_inputs + receivers n_outputs + light / wall plug
    operations: an n x m transfer matrix is n m complex multiply-accumulates; each is 4 real ones, or 8 operations

Counting every passive pass of light as arithmetic is a convention of optical computing; the share of the core, whose
matrix alone can be programmed freely, is counted beside it. None of the assumptions is from a paper on Taichi: all are
round numbers of our choice for silicon photonics with thermo-optic phase shifters, to be replaced by one's own.
Left out: memory, digital control, temperature stabilisation, and the routing between components.
"""

from dataclasses import dataclass, fields

from scipy.constants import c, h

from optics._checks import check_positive

REAL_MACS_PER_COMPLEX = 4
OPERATIONS_PER_COMPLEX_MAC = 8


@dataclass(frozen=True)
class ChipAssumptions:
    """What components take; every value is our assumption.

    Attributes:
        rate: Images per second through each chiplet, Hz.
        heater_power: Mean electrical power of a phase shifter, W.
        modulator_energy: Modulator with its driver and converter, per symbol, J.
        receiver_energy: Detector with its amplifier and converter, per sample, J.
        wall_plug_efficiency: Optical over electrical power of the laser.
        coupling_loss_db: From laser to waveguides, dB of power.
        cell_length: Of a Mach-Zehnder cell along the mesh, m.
        port_pitch: Between waveguides of the mesh, m.
        mask_length: Of a row of phase shifters, m.
        modulator_area: m^2.
        receiver_area: m^2.
    """

    rate: float = 1e9
    heater_power: float = 10e-3
    modulator_energy: float = 1e-12
    receiver_energy: float = 1e-12
    wall_plug_efficiency: float = 0.1
    coupling_loss_db: float = 3.0
    cell_length: float = 200e-6
    port_pitch: float = 25e-6
    mask_length: float = 100e-6
    modulator_area: float = 0.02e-6
    receiver_area: float = 0.005e-6

    def __post_init__(self):
        for item in fields(self):
            if item.name != "coupling_loss_db":
                check_positive(getattr(self, item.name), item.name)


@dataclass(frozen=True)
class ChipSize:
    """What a chiplet consists of.

    Attributes:
        n_inputs: Waveguides M, as many modulators and detectors.
        n_ports: Ports N of the core.
        n_masks: Masks in each encoder and decoder.
        n_outputs: Detector signals that are converted: one a region.
        slab_length: m.
        slab_pitch: Between waveguides of the slabs, m.
        wavelength: m.
    """

    n_inputs: int
    n_ports: int
    n_masks: int
    n_outputs: int
    slab_length: float
    slab_pitch: float
    wavelength: float

    @property
    def n_phases(self) -> int:
        """Phase shifters: N^2 of the core and the masks."""
        return self.n_ports**2 + 2 * self.n_masks * self.n_inputs


def complex_macs(size: ChipSize, *, core_only: bool = False) -> int:
    """Complex multiply-accumulates that one pass of light stands for: slabs and core as dense matrices, masks not."""
    core = size.n_ports**2
    if core_only:
        return core
    slabs = size.n_masks * size.n_inputs**2 + size.n_inputs * size.n_ports
    return core + 2 * slabs


def energy_per_image(
    size: ChipSize, assumed: ChipAssumptions, photons: float | int
) -> dict[str, float]:
    """Electrical energy of one image on one chiplet by consumer, J.

    Args:
        size: Chiplet.
        assumed: Assumptions.
        photons: Photons into the waveguides for one image.
    """
    check_positive(photons, "photons")
    light = photons * h * c / size.wavelength * 10 ** (assumed.coupling_loss_db / 10)
    return {
        "heaters": assumed.heater_power * size.n_phases / assumed.rate,
        "modulators": assumed.modulator_energy * size.n_inputs,
        "receivers": assumed.receiver_energy * size.n_outputs,
        "laser": light / assumed.wall_plug_efficiency,
    }


def footprint(size: ChipSize, assumed: ChipAssumptions) -> dict[str, float]:
    """Area of one chiplet by part, m^2."""
    slab = size.n_inputs * size.slab_pitch * size.slab_length
    mask = size.n_inputs * assumed.port_pitch * assumed.mask_length
    return {
        "core": size.n_ports * assumed.cell_length * size.n_ports * assumed.port_pitch,
        "slabs": 2 * (size.n_masks + 1) * slab,
        "masks": 2 * size.n_masks * mask,
        "modulators": size.n_inputs * assumed.modulator_area,
        "receivers": size.n_inputs * assumed.receiver_area,
    }


def operations_per_joule(
    size: ChipSize, assumed: ChipAssumptions, photons: float | int, *, core_only: bool = False
) -> float:
    """Operations per joule, which is operations per second and watt; 1e12 of them are one TOPS/W."""
    operations = OPERATIONS_PER_COMPLEX_MAC * complex_macs(size, core_only=core_only)
    return operations / sum(energy_per_image(size, assumed, photons).values())


def macs_per_second_and_area(
    size: ChipSize, assumed: ChipAssumptions, *, core_only: bool = False
) -> float:
    """Real multiply-accumulates per second and m^2; 1e18 of them are one T MACs/s per mm^2."""
    macs = REAL_MACS_PER_COMPLEX * complex_macs(size, core_only=core_only)
    return macs * assumed.rate / sum(footprint(size, assumed).values())
