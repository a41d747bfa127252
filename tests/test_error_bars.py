import ast
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.exact import (
    errors_by_hand,
    errors_of_experiments_by_hand,
    errors_of_noise_by_hand,
)

ROOT = Path(__file__).parents[1]
LIBRARIES = ("optics", "quantum", "nn")
CASES = (
    *errors_by_hand.CASES,
    *errors_of_noise_by_hand.CASES,
    *errors_of_experiments_by_hand.CASES,
)

# Functions whose error another test holds, `file.py::test`; names are `wing.module.function`.
TESTED_ELSEWHERE = {
    "benchmarks.bench_checkpoint.quotient": "test_bench_checkpoint.py::test_quotients_are_of_means_with_their_errors",
    "command.accepted._tolerance":
        "test_accepted.py::test_tolerance_is_that_of_the_experiment_else_five_standard_errors",
    "harness.comparison.format_number": "test_comparison.py::test_a_value_is_shown_to_two_digits_of_its_error",
    "echoes.interference.diagonal": "test_interference.py::test_strings_of_a_circuit_do_not_depend_on_the_ensemble",
    "echoes.interference.off_diagonal": "test_interference.py::test_strings_of_a_circuit_do_not_depend_on_the_ensemble",
    "echoes.interference.measure_interference":
        "test_interference.py::test_random_strings_agree_with_the_exact_diagonal",
    **dict.fromkeys(
        ("nmr.methods.Sectors.curve", "nmr.methods.RealSectors.curve"),
        "test_methods.py::test_real_and_complex_sectors_give_one_echo",
    ),
    **dict.fromkeys(
        ("engines.sampling.Counts.expectation", "engines.sampling.mean_of_shots"),
        "test_sampling.py::test_the_mean_of_three_shots_and_its_error_by_hand",
    ),
    "noise.readout.Readout.expectation": "test_readout.py::test_the_stated_error_is_the_scatter",
    "nmr.methods.Matrices.curve": "test_any_molecule.py::test_a_random_molecule_is_what_numpy_makes_of_it",
    "spins.order_tensor.fit_order_tensor":
        "test_order_tensor.py::test_stated_errors_are_those_of_many_noisy_measurements",
    "nmr.methods.Pulses.curve": "test_methods.py::test_pulses_give_the_echo_of_their_average",
    "compiling.nmr_circuit.ProductFormula.curve":
        "test_methods.py::test_a_circuit_gives_the_echo_to_second_order_in_the_step",
    "inference.normalised_curve.profile_normalised":
        "test_normalised_curve.py::test_the_profile_is_that_of_the_normal_law_with_the_line_in_its_covariance",
    "inference.errors.group_bootstrap":
        "test_errors.py::test_the_group_bootstrap_of_a_line_gives_the_sandwich_of_its_residuals",
    "inference.errors.parametric_bootstrap":
        "test_errors.py::test_the_parametric_bootstrap_of_a_line_gives_its_error",
    "inference.measured_curve.read_curve": "test_measured_curve.py::test_columns_are_found_by_name_in_any_order",
    "molecules.nmr_geometry._learn": "test_nmr_geometry.py::test_the_bootstrap_of_one_curve_gives_its_stated_error",
    "molecules.nmr_geometry._measured": "test_nmr_geometry.py::test_a_measured_curve_is_learned",
    "echoes.otoc_cost._metrics": "test_otoc_cost.py::test_the_methods_stand_in_the_order_of_their_exponents",
    "echoes.otoc_interference._is_near": "test_otoc_interference.py::test_an_order_is_near_if_mean_and_spread_are",
    "echoes.otoc_spreading._front_metrics": "test_otoc_spreading.py::test_the_front_moves_behind_the_light_cone",
    "generation.latent_straightness._scatter":
        "test_latent_straightness.py::test_the_error_of_one_seed_is_the_scatter_of_its_draws",
    "generation.latent_straightness.run":
        "test_latent_straightness.py::test_every_codec_is_measured_with_its_controls",
    "generation.frechet.bootstrap_distance": "test_frechet.py::test_the_bootstrap_scatters_as_new_sets_do",
    "generation.flow_samplers.straightness":
        "test_flow_samplers.py::test_the_error_of_the_straightness_of_two_paths_is_that_by_hand",
    "echoes.pauli_paths.sample_off_diagonal":
        "test_pauli_growth.py::test_the_spread_of_a_loop_is_its_exact_second_moment",
}  # fmt: skip
# Found by the search below, but no error of a number that anybody reports.
NO_ERROR = {
    "nmr.methods.Method.curve": "an interface",
    "molecules.nmr_echo.run": "passes on what `whole_molecule` and `echo_by_typicality` give",
    "echoes.otoc_noise.run": "passes on what `fit_rescale` and `rescale_exponent` give",
    "echoes.otoc_spreading.run": "passes on what `std_with_error` gives",
    "echoes.otoc_decay.decay": "fits what `spread` gives, by `compare_decays`",
    "echoes.otoc_noise._sample": "passes on what `stratified` gives",
    "inference.normalised_curve.draw_normalised": "takes an error and gives curves",
    "harness.comparison._no_spread": "says in words that repeats do not differ",
    "circuits.played.is_played": "an error of a gate, not of a number",
    "noise.cross_entropy.circuit_fidelity": "from errors of gates, not of a number",
    "generation.exact_flow.make_gaussian_flow": "covariances of the data are its argument",
    "generation.posterior_sampling.steer_flow": "the variance of the prior's data is its argument",
    "generation.semantic_codec.measure_alignment": "deviations of channels, not errors of them",
    "training.self_supervised.vicreg_loss": "covariances are a part of the loss",
    "generation.frechet.frechet_distance": "refuses a covariance of the features that is singular",
    "generation.flow_matching.as_velocity": "a field of velocities, no speed with an error",
    "media.scattering.speckle_correlation": "covariance of a picture, which is the result",
    "media.scattering.speckle_size": "covariance of a picture, which is the result",
    **dict.fromkeys(
        (
            "photonic_chips.ffm_chip_figure._band", "forward_mode.ffm_gap.plot", "forward_mode.ffm_methods.plot",
            "forward_mode.ffm_single_layer.plot", "forward_mode.ffm_weak_light.plot",
            "echoes.hamiltonian_learning_figure.draw_cost", "echoes.random_circuit_sampling.plot",
        ),
        "a band in a figure; the metrics have errors of their own",
    ),
}  # fmt: skip

# What a docstring or a name calls an error of our own number, not an imperfection of a device.
WORDS = re.compile(
    r"standard errors?\b|cramer-rao error|\bits error\b|covariance|jackknife|bootstrap|error bars?\b"
)
FIELDS = re.compile(r"^(stderr|covariance|slope_error|standard_errors|.*_stderr)$")


def name_of(function) -> str:
    """Wing, module and name in it, such as `inference.decays.DecayFit.time_constant`."""
    inner = getattr(function, "fget", function)
    return ".".join([*inner.__module__.split(".")[-2:], inner.__qualname__])


@pytest.mark.parametrize("case", CASES, ids=lambda case: name_of(case.of))
def test_the_error_of_two_or_three_numbers_is_the_one_by_hand(case):
    # A few roundings; fits by iteration stop at 1e-8.
    np.testing.assert_allclose(case.error(), case.expected, rtol=1e-6, atol=1e-12)


def test_every_function_that_returns_an_error_is_in_the_table_or_says_where_it_is_tested():
    found = errors_returned()
    known = {name_of(case.of) for case in CASES} | set(TESTED_ELSEWHERE) | set(NO_ERROR)
    missing = {name: why for name, why in found.items() if name not in known}
    assert not missing, f"add a case to tests/exact/errors_*by_hand.py for {missing}"


def test_the_lists_name_functions_and_tests_that_exist():
    functions_there = {
        f"{stem}.{name}" for _, stem, tree in modules() for name, _ in functions(tree)
    }
    assert set(TESTED_ELSEWHERE) | set(NO_ERROR) <= functions_there
    tests = {
        path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")
    }
    for where in TESTED_ELSEWHERE.values():
        file, name = where.split("::")
        assert f"def {name}(" in tests[file], where


def test_the_search_finds_errors_by_type_by_word_and_by_what_is_done():
    found = errors_returned()
    assert found["quantum.estimates.mean_with_error"] == "returns Estimate"
    assert found["echoes.pauli_growth.Growth.log2_at"] == "says standard error"
    assert found["molecules.nmr_echo_pulses.whole_molecule"] == "divides by n - 1"
    assert (
        found["benchmarks.bench_propagation._milliseconds"] == "makes a Measurement with an error"
    )
    assert len(found) > 70


@cache
def modules():
    paths = sorted(
        path for package in (*LIBRARIES, "experiments") for path in (ROOT / package).rglob("*.py")
    )
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    places = [path.relative_to(ROOT).with_suffix("").parts for path in paths]
    return [(p[0], ".".join(p[-2:]), tree) for p, tree in zip(places, trees, strict=True)]


def functions(tree):
    """Functions and methods with their qualified names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            methods = (inner for inner in node.body if isinstance(inner, ast.FunctionDef))
            yield from ((f"{node.name}.{inner.name}", inner) for inner in methods)


@cache
def error_types():
    """Classes of the libraries that hold an error, and classes that hold those."""
    held = {}
    for package, _, tree in modules():
        for node in tree.body if package in LIBRARIES else ():
            if isinstance(node, ast.ClassDef):
                fields = [n for n in node.body if isinstance(n, ast.AnnAssign | ast.FunctionDef)]
                named = {
                    ast.unparse(n.target) if isinstance(n, ast.AnnAssign) else n.name
                    for n in fields
                }
                says = re.search(
                    "standard error|fisher error", (ast.get_docstring(node) or "").lower()
                )
                inner = {
                    name
                    for n in fields
                    if isinstance(n, ast.AnnAssign)
                    for name in names_in(n.annotation)
                }
                held[node.name] = bool(says) or any(map(FIELDS.search, named)), inner
    found = {name for name, (own, _) in held.items() if own}
    while more := {name for name, (_, inner) in held.items() if found & inner} - found:
        found |= more
    return found


def errors_returned():
    """Names of functions that return an error, and how one sees it; private ones of the experiments as well."""
    found = {}
    for package, stem, tree in modules():
        for name, node in functions(tree):
            hidden = package in LIBRARIES and any(part.startswith("_") for part in name.split("."))
            if not hidden and (why := reason(node, package)):
                found[f"{stem}.{name}"] = why
    return found


def reason(node, package) -> str | None:
    if package in LIBRARIES and error_types() & names_in(node.returns):
        return f"returns {ast.unparse(node.returns)}"
    text = f"{node.name.replace('_', ' ')} {ast.get_docstring(node) or ''}".lower()
    if word := WORDS.search(text):
        return f"says {word.group()}"
    calls = [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    if any(keyword.arg == "ddof" for call in calls for keyword in call.keywords):
        return "divides by n - 1"
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id == "Measurement":
            given = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "stderr")]
            if any(ast.unparse(error) != "None" for error in given):
                return "makes a Measurement with an error"
    return None


def names_in(node) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} if node else set()
