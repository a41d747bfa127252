import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import AbstractLinear, linear_maps, replace_linear
from nn.layers.patches import patches
from nn.models.dit import (
    DitConfig,
    flatten_tensors,
    grid_positions,
    make_dit,
    tensor_table,
)
from tests.exact import language_model_laws as laws

CONFIG = DitConfig(
    rows=2, columns=3, channels=3, classes=4, width=8, n_layers=2, heads=2, hidden=10, time_size=6,
    normed_heads=True, outputs=5, frequency_shift=1, feed_norm_eps=1e-5,
)  # fmt: skip
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(3, 6, 3)))
T = jnp.asarray([0.0, 0.3, 0.9])
LABELS = jnp.asarray([2, 4, 0])


@pytest.fixture(scope="module")
def model():
    return laws.drawn(lambda: make_dit(CONFIG, key=jax.random.key(0)))


said = eqx.filter_jit(lambda model, x, t, labels: model.all_outputs(x, t, labels))


def by_numpy(model, x, t, label):
    """The formulas of the module for one picture, without any of its functions."""
    dense = lambda m, v: v @ np.asarray(m.weight) + np.asarray(m.bias)  # noqa: E731
    silu = lambda v: v / (1 + np.exp(-v))  # noqa: E731

    def norm(v, eps):
        return (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + eps)

    angles = 1000 * t * 1e4 ** (-np.arange(3) / 2)  # 6 numbers: 3 frequencies, the last 1e-4
    told = dense(model.time[1], silu(dense(model.time[0], np.r_[np.cos(angles), np.sin(angles)])))
    told = silu(told + np.asarray(model.table.weight)[label])
    column, row = np.tile(np.arange(3), 2), np.repeat(np.arange(2), 3)
    places = np.stack(
        [f(p * w) for p in (column, row) for f in (np.sin, np.cos) for w in (1, 0.01)], 1
    )
    h = dense(model.embedding, x) + places
    for block in model.body.unrolled().blocks:
        a1, b1, g1, a2, b2, g2 = np.split(dense(block.modulation, told), 6)
        v = norm(h, 1e-6) * (1 + b1) + a1
        heads = lambda m, v=v: dense(m, v).reshape(6, 2, 4).swapaxes(0, 1)  # noqa: E731
        scaled = lambda u, m: norm(u, 1e-6) * np.asarray(m.weight) + np.asarray(m.bias)  # noqa: E731
        mixer = block.mixer
        q, k = (
            scaled(heads(mixer.query), mixer.query_norm),
            scaled(heads(mixer.key), mixer.key_norm),
        )
        score = np.exp(q @ k.swapaxes(1, 2) / 2)
        mixed = (score / score.sum(-1, keepdims=True) @ heads(mixer.value)).swapaxes(0, 1)
        h = h + g1 * dense(mixer.output, mixed.reshape(6, 8))
        u = dense(block.feed.expand, norm(h, 1e-5) * (1 + b2) + a2)
        u = u * (1 + np.tanh(np.sqrt(2 / np.pi) * (u + 0.044715 * u**3))) / 2
        h = h + g2 * dense(block.feed.contract, u)
    a, b = np.split(dense(model.modulation, told), 2)
    return dense(model.head, norm(h, 1e-6) * (1 + b) + a)


def test_it_is_what_the_formulas_say(model):
    found = np.asarray(said(model, X, T, LABELS))
    for i in range(3):
        expected = by_numpy(model, np.asarray(X[i]), float(T[i]), int(LABELS[i]))
        np.testing.assert_allclose(found[i], expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(model(X, T, LABELS), found[..., :3])


def test_a_new_model_says_zero_whatever_it_is_told():
    new = make_dit(CONFIG, key=jax.random.key(1))
    x, t = (a.astype(jnp.float32) for a in (X, T))
    found = said(new, x, t, LABELS)
    assert not np.any(found)
    assert found.dtype == jnp.float32  # with 64-bit on, as the tests are
    # Its maps are not: what opens the modulations finds something behind them.
    inner = [m for path, m in linear_maps(new) if "mixer" in path or "feed" in path]
    assert inner
    assert all(np.any(jax.tree.leaves(m)[0]) for m in inner)


def test_no_label_is_the_null_label_and_blocks_may_be_unrolled(model):
    null = jnp.full(3, model.null)
    np.testing.assert_array_equal(said(model, X, T, None), said(model, X, T, null))
    unrolled = eqx.tree_at(lambda m: m.body, model, model.body.unrolled())
    np.testing.assert_allclose(said(unrolled, X, T, LABELS), said(model, X, T, LABELS), rtol=1e-10)


def test_the_original_frequencies_and_times_are_others(model):
    # Of a hundredth of the time at a hundredfold scale nothing changes; of d = 0 all but the first frequency.
    slower = dataclasses.replace(model, config=dataclasses.replace(CONFIG, time_scale=1e5))
    np.testing.assert_allclose(
        said(slower, X, T / 100, LABELS), said(model, X, T, LABELS), rtol=1e-9
    )
    original = dataclasses.replace(model, config=dataclasses.replace(CONFIG, frequency_shift=0))
    assert np.abs(said(original, X, T, LABELS) - said(model, X, T, LABELS))[1:].max() > 1e-3


def test_every_weight_has_its_gradient_and_every_map_its_key(model):
    loss = lambda model: jnp.sum(model.all_outputs(X, T, LABELS) ** 2)  # noqa: E731
    for path, leaf in jax.tree_util.tree_leaves_with_path(
        eqx.filter_jit(eqx.filter_grad(loss))(model)
    ):
        # A bias of all keys changes no difference of scores, but it is normalised here.
        assert np.any(leaf), jax.tree_util.keystr(path)
    seen = []

    class Noisy(AbstractLinear):
        inner: AbstractLinear
        n_in: int = eqx.field(static=True)
        n_out: int = eqx.field(static=True)

        def __call__(self, x, *, key=None):
            seen.append(key)
            return self.inner(x)

    unrolled = eqx.tree_at(lambda m: m.body, model, model.body.unrolled())
    noisy = replace_linear(unrolled, lambda path, m: Noisy(inner=m, n_in=m.n_in, n_out=m.n_out))
    jax.eval_shape(lambda key: noisy(X, T, LABELS, key=key), jax.random.key(0))
    assert len(seen) == 2 * 7 + 5
    assert all(key is not None for key in seen)


def test_levels_that_are_whole_numbers_are_as_good_as_others(model):
    levels = dataclasses.replace(model, config=dataclasses.replace(CONFIG, time_scale=1))
    whole = jnp.asarray([0, 300, 999])
    np.testing.assert_array_equal(levels(X, whole, LABELS), levels(X, whole.astype(float), LABELS))


def test_places_of_a_grid_have_products_that_depend_on_their_distance():
    places = grid_positions(3, 4, 16).reshape(3, 4, 16)
    products = np.einsum("yxw,vuw->yxvu", places, places)
    np.testing.assert_allclose(products[0, 0, 1, 2], products[1, 1, 2, 3], rtol=1e-12)
    np.testing.assert_allclose(np.einsum("yxyx->yx", products), 8, rtol=1e-12)
    np.testing.assert_array_equal(places[0, :, :8], places[2, :, :8])  # columns first
    np.testing.assert_array_equal(places[:, 0, 8:], places[:, 3, 8:])
    assert places[0, 1, 0] == pytest.approx(np.sin(1), rel=1e-12)


def test_what_does_not_fit_is_named(model):
    for call, said_of_it in (
        (lambda: model(X[:, :5], T, LABELS), "`x` must have size 6 along axis 1"),
        (lambda: model(X[..., :2], T, LABELS), "`x` must have size 3 along axis 2"),
        (lambda: model(X, T, LABELS - 1), "`labels` must lie between 0 and 4, but is -1"),
        (lambda: dataclasses.replace(CONFIG, time_size=7), "`time_size` must be a multiple of 2"),
        (
            lambda: model(X, T, LABELS + 1),
            "`labels` must lie between 0 and 4, but is 5. 4 says nothing",
        ),
        (lambda: dataclasses.replace(CONFIG, width=6), "`width` must be a multiple of 4, but is 6"),
        (lambda: dataclasses.replace(CONFIG, frequency_shift=2), "`frequency_shift` must lie"),
        (lambda: dataclasses.replace(CONFIG, outputs=2), "`outputs` must be at least 3"),
        (lambda: dataclasses.replace(CONFIG, rows=0), "`rows` must be at least 1"),
    ):
        with pytest.raises(ValueError, match=said_of_it):
            call()
    plain = make_dit(dataclasses.replace(CONFIG, classes=0), key=jax.random.key(0))
    with pytest.raises(ValueError, match="`labels` must be None, for this model was made without"):
        plain(X, T, LABELS)


def test_each_array_has_its_tensor_and_blocks_share_what_they_are_told_by(model):
    config = dataclasses.replace(CONFIG, normed_heads=False)
    hollow = eqx.filter_eval_shape(lambda: make_dit(config, key=jax.random.key(0)))
    paths = jax.tree_util.tree_leaves_with_path(
        eqx.filter(hollow, lambda leaf: hasattr(leaf, "shape"))
    )
    assert set(tensor_table(config)) == {jax.tree_util.keystr(p).lstrip(".") for p, _ in paths}
    names = [f"transformer_blocks.{i}.norm1.emb.timestep_embedder.linear_1.bias" for i in (0, 1)]
    found = flatten_tensors({name: np.ones(2) for name in names}, config)
    assert list(found) == names[:1]
    with pytest.raises(ValueError, match=r"`tensors` must hold .*blocks.1.* as .*blocks.0.*share"):
        flatten_tensors({name: np.full(2, i) for i, name in enumerate(names)}, config)
    kernel = RNG.normal(size=(8, 3, 2, 2))
    flat = flatten_tensors({"pos_embed.proj.weight": kernel}, config)["pos_embed.proj.weight"]
    picture = RNG.normal(size=(1, 2, 2, 3))
    expected = np.einsum("yxc,ocyx->o", picture[0], kernel)
    np.testing.assert_allclose(flat @ np.asarray(patches(jnp.asarray(picture), 2))[0, 0], expected)
