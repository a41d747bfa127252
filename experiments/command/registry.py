"""The experiments and benchmarks by name, and what can be said about them without importing them.

`list` and the report need a claim and a figure number, not JAX. So `summary` reads the literal assignments of a
module from its source, and `load` imports it only when it runs. Each text stands once, in the experiment itself.
"""

import ast
import difflib
import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from experiments.harness.errors import UserError

EXPERIMENTS: dict[str, str] = {
    "ffm_gradient": "experiments.forward_mode.ffm_gradient",
    "ffm_gap": "experiments.forward_mode.ffm_gap",
    "ffm_single_layer": "experiments.forward_mode.ffm_single_layer",
    "ffm_depth": "experiments.forward_mode.ffm_depth",
    "ffm_nonlinear": "experiments.forward_mode.ffm_nonlinear",
    "ffm_methods": "experiments.forward_mode.ffm_methods",
    "mesh_errors": "experiments.photonic_chips.mesh_errors",
    "ffm_focus": "experiments.scattering.ffm_focus",
    "ffm_hidden_object": "experiments.scattering.ffm_hidden_object",
    "ffm_weak_light": "experiments.forward_mode.ffm_weak_light",
    "ffm_chip": "experiments.photonic_chips.ffm_chip",
    "reciprocity_audit": "experiments.forward_mode.reciprocity_audit",
    "exceptional_point": "experiments.photonic_chips.exceptional_point",
    "taichi_classification": "experiments.photonic_chips.taichi_classification",
    "taichi_depth": "experiments.photonic_chips.taichi_depth",
    "otoc_spreading": "experiments.echoes.otoc_spreading",
    "otoc_interference": "experiments.echoes.otoc_interference",
    "otoc_decay": "experiments.echoes.otoc_decay",
    "random_circuit_sampling": "experiments.echoes.random_circuit_sampling",
    "otoc_noise": "experiments.echoes.otoc_noise",
    "otoc_verification": "experiments.echoes.otoc_verification",
    "otoc_cost": "experiments.echoes.otoc_cost",
    "hamiltonian_learning": "experiments.echoes.hamiltonian_learning",
    "nmr_mitigation": "experiments.molecules.nmr_mitigation",
    "nmr_echo": "experiments.molecules.nmr_echo",
    "nmr_circuits": "experiments.molecules.nmr_circuits",
    "nmr_geometry": "experiments.molecules.nmr_geometry",
    "language_model": "experiments.learning_systems.language_model",
    "token_pruning": "experiments.learning_systems.token_pruning",
    "nesterov_ode": "experiments.learning_systems.nesterov_ode",
    "edge_roofline": "experiments.learning_systems.edge_roofline",
    "quantization": "experiments.learning_systems.quantization",
    "activation_quantization": "experiments.learning_systems.activation_quantization",
    "mixture_of_experts": "experiments.learning_systems.mixture_of_experts",
    "attention_scaling": "experiments.learning_systems.attention_scaling",
    "gated_delta": "experiments.learning_systems.gated_delta",
    "sparse_attention": "experiments.learning_systems.sparse_attention",
    "checkpoint_faults": "experiments.learning_systems.checkpoint_faults",
    "checkpoint_reshard": "experiments.learning_systems.checkpoint_reshard",
    "checkpoint_scale": "experiments.learning_systems.checkpoint_scale",
    "photonic_transformer": "experiments.learning_systems.photonic_transformer",
    "latent_straightness": "experiments.generation.latent_straightness",
    "hologram_prior": "experiments.generation.hologram_prior",
    "optical_generation": "experiments.generation.optical_generation",
}
BENCHMARKS: dict[str, str] = {
    "bench_propagation": "experiments.benchmarks.bench_propagation",
    "bench_training_step": "experiments.benchmarks.bench_training_step",
    "bench_mesh": "experiments.benchmarks.bench_mesh",
    "bench_otoc": "experiments.benchmarks.bench_otoc",
    "bench_nmr": "experiments.benchmarks.bench_nmr",
    "bench_language_kernels": "experiments.benchmarks.bench_language_kernels",
    "bench_compression": "experiments.benchmarks.bench_compression",
    "bench_generation": "experiments.benchmarks.bench_generation",
    "bench_checkpoint": "experiments.benchmarks.bench_checkpoint",
    "checkpoint_stall": "experiments.benchmarks.checkpoint_stall",
}
INTERFACE = (
    "CLAIM",
    "PAPER_FIGURE",
    "EXPECTED_TIME",
    "Config",
    "SCALES",
    "REFERENCES",
    "run",
    "plot",
)


@dataclass(frozen=True)
class Summary:
    """What an experiment says about itself.

    Attributes:
        name: Name it is run by.
        claim: What it shows, one line.
        paper_figure: Figure or table of the publication.
        expected_time: Time by scale; its keys are the scales.
        tolerances: How far each metric (shell patterns) may lie from its accepted value, in its unit.
        saves_trainings: Whether it has trainings that `--save-every` saves.
    """

    name: str
    claim: str
    paper_figure: str
    expected_time: dict[str, str]
    tolerances: dict[str, float]
    saves_trainings: bool


def names() -> list[str]:
    """Experiments in the order of the table."""
    return list(EXPERIMENTS)


def benchmarks() -> list[str]:
    """Benchmarks in the order of the table."""
    return list(BENCHMARKS)


def module_path(name: str) -> str:
    """Import path of an experiment or benchmark; an unknown name is answered with the nearest known one."""
    table = EXPERIMENTS | BENCHMARKS
    if name in table:
        return table[name]
    raise UserError(f"There is no experiment `{name}`; {nearest(name, list(table))}")


def nearest(word: str, known: list[str], others: str = "known are") -> str:
    """The end of a sentence about an unknown word: the nearest known one, or all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else f"{others} {', '.join(known)}."


def summary(name: str) -> Summary:
    """Reads claim, figure and times from the source of a module without running it."""
    literals = _literals(_source(name))
    missing = [key for key in ("CLAIM", "PAPER_FIGURE", "EXPECTED_TIME") if key not in literals]
    if missing:
        raise UserError(f"`{module_path(name)}` must assign a literal to {', '.join(missing)}.")
    return Summary(
        name,
        literals["CLAIM"],
        literals["PAPER_FIGURE"],
        literals["EXPECTED_TIME"],
        literals.get("TOLERANCES", {}),
        literals.get("SAVES_TRAININGS", False),
    )


def load(name: str) -> ModuleType:
    """Imports an experiment and checks that it has the whole interface."""
    module = importlib.import_module(module_path(name))
    missing = [part for part in INTERFACE if not hasattr(module, part)]
    if missing:
        raise UserError(f"`{module.__name__}` must define {', '.join(missing)}.")
    if set(module.EXPECTED_TIME) != set(module.SCALES):
        raise UserError(
            f"`EXPECTED_TIME` and `SCALES` of `{module.__name__}` must name the same scales."
        )
    return module


def _source(name: str) -> Path:
    path = module_path(name)
    spec = importlib.util.find_spec(path)
    if spec is None or spec.origin is None:
        raise UserError(f"`{name}` is registered as `{path}`, but there is no such module.")
    return Path(spec.origin)


def _literals(source: Path) -> dict:
    found = {}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            target, value = node.targets[0].id, node.value
        elif (
            isinstance(node, ast.AnnAssign | ast.AugAssign)
            and isinstance(node.target, ast.Name)
            and node.value
        ):
            target, value = node.target.id, node.value
        else:
            continue
        if target.isupper():
            try:
                literal = ast.literal_eval(value)
                # The one addition in use: further keys, as in TOLERANCES |= {...}.
                more = isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitOr)
                found[target] = found[target] | literal if more else literal
            except ValueError:  # SCALES and REFERENCES are calls; they need the module itself
                continue
    return found
