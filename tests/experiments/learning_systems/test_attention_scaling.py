import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems import attention_scaling
from experiments.learning_systems.attention_forms import BLOCK, FORMS, Sizes
from nn.kernels import visible

TINY = attention_scaling.Config(
    forms=("dense", "online", "chunks"), lengths=(128, 512), longest_dense=512, heads=1, head_dim=8,
    index_heads=1, index_dim=4, repeats=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return attention_scaling.run(TINY)


def test_dense_memory_grows_with_the_square_and_blocks_and_chunks_do_not(outcome):
    exponents = {f: outcome.metrics[f"exponent.memory.{f}"].value for f in TINY.forms}
    assert exponents["dense"] > 1.8
    # 1 at last; what is of fixed size, as a block of weights, makes it less.
    assert exponents["online"] < 1.05
    assert exponents["chunks"] < 1.05
    assert outcome.metrics["memory.online"].value < outcome.metrics["memory.dense"].value / 3


def test_forms_agree_with_their_reference(outcome):
    assert outcome.metrics["difference.dense"].value == 0
    # Single precision, 6e-8, and sums of up to a hundred terms; not 0, for the order of the sums is another.
    assert 0 < outcome.metrics["difference.online"].value < 3e-6
    assert 0 < outcome.metrics["difference.chunks"].value < 3e-6


def test_figure_has_a_curve_for_each_form_in_each_panel(outcome):
    panels = attention_scaling.plot(outcome).axes
    assert [len(panel.lines) for panel in panels] == [3, 3, 3]


@pytest.mark.parametrize("n", [128, 1024, 2048])
def test_products_of_a_window_are_those_of_blocks_with_something_to_see(n):
    sizes = Sizes(2, 16, 300, 64, 4, 2, 8)
    at = jnp.arange(n)
    for name, window in (("online", None), ("window", sizes.window)):
        seen = np.asarray(visible(at, at, window=window))
        blocks = [
            (i, j) for i in range(0, n, BLOCK) for j in range(0, n, BLOCK)
            if seen[i : i + BLOCK, j : j + BLOCK].any()
        ]  # fmt: skip
        assert FORMS[name].products(sizes, n) == 2 * 2 * 16 * BLOCK**2 * len(blocks)


def test_products_of_the_plain_form_are_those_the_compiler_counts():
    sizes, n = Sizes(2, 16, 300, 64, 4, 2, 8), 64
    shapes = [jax.ShapeDtypeStruct((1, n, 2, 16), jnp.float32)] * 3
    attend = FORMS["dense"].make(sizes, n, False)
    counted = jax.jit(lambda q, k, v: attend(q, k, v, None, None)).lower(*shapes).compile()
    products = FORMS["dense"].products(sizes, n)
    # Two operations each; beside the 4 * 16 of each weight some ten for its mask and exponential.
    assert 2 * products <= counted.cost_analysis()["flops"] < 2.4 * products


def test_growth_is_the_exponent_of_the_last_three():
    lengths = np.array([1, 2, 4, 8])
    assert attention_scaling.growth(lengths, np.array([100, 8, 64, 512])) == pytest.approx(3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forms": ("dens",)}, "`forms` must be one of dense, jax"),
        ({"lengths": (64,)}, "`lengths` must be 2 or more rising numbers"),
        ({"block": 30}, "`block` must be a multiple of 4"),
        ({"index_dim": 65}, "`index_dim` must lie between 1 and `head_dim`, 64"),
        ({"longest_dense": 300}, "`longest_dense` must be at least the second of `lengths`, 512"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        attention_scaling.Config(**change)
