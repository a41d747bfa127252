import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import AbstractLinear, replace_linear
from nn.layers.patches import patches
from nn.models.vit import VitConfig, flatten_tensors, make_vit, tensor_table
from nn.training import cross_entropy
from tests.exact import language_model_laws as laws

CONFIG = VitConfig(size=6, patch=3, channels=2, classes=3, width=8, n_layers=2, heads=2, hidden=10)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 2)))


@pytest.fixture(scope="module")
def model():
    return laws.drawn(lambda: make_vit(CONFIG, key=jax.random.key(0)))


def test_without_positions_the_order_of_patches_does_not_matter(model):
    logits = eqx.filter_jit(lambda model, images: model(images))
    cut = np.asarray(IMAGES).reshape(2, 2, 3, 6, 2)[:, ::-1].reshape(IMAGES.shape)
    plain = eqx.tree_at(lambda m: m.positions, model, jnp.zeros_like(model.positions))
    np.testing.assert_allclose(logits(plain, jnp.asarray(cut)), logits(plain, IMAGES), rtol=1e-10)
    assert np.abs(logits(model, jnp.asarray(cut)) - logits(model, IMAGES)).max() > 1e-3


def test_every_map_gets_a_key_for_those_that_are_noisy(model):
    seen = []

    class Noisy(AbstractLinear):
        inner: AbstractLinear
        n_in: int = eqx.field(static=True)
        n_out: int = eqx.field(static=True)

        def __call__(self, x, *, key=None):
            seen.append(key)
            return self.inner(x)

    noisy = replace_linear(model, lambda _, m: Noisy(inner=m, n_in=m.n_in, n_out=m.n_out))
    # One block is traced for all; the embedding, its six maps and the head.
    jax.eval_shape(lambda m: m(IMAGES, key=jax.random.key(1)), noisy)
    assert len(seen) == 8
    assert all(key is not None for key in seen)


def test_every_weight_has_its_gradient(model):
    loss = lambda model: cross_entropy(model(IMAGES), jnp.array([0, 2])).mean()  # noqa: E731
    gradient = eqx.filter_jit(eqx.filter_grad(loss))(model)
    leaves = jax.tree.leaves(gradient)
    # The sum of a row of scores shifts with the bias of the keys, which softmax does not see.
    assert sum(np.abs(leaf).max() < 1e-14 for leaf in leaves) == 1
    assert all(np.isfinite(leaf).all() for leaf in leaves)


def test_each_array_has_its_tensor(model):
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(model, eqx.is_array))[0]
    assert set(tensor_table(CONFIG)) == {jax.tree_util.keystr(p).lstrip(".") for p, _ in leaves}
    kernel = np.random.default_rng(1).normal(size=(8, 2, 3, 3))
    flat = flatten_tensors({"projection.weight": kernel, "a.cls_token": np.ones((1, 1, 8))})
    image = np.asarray(IMAGES)[0]
    expected = np.einsum("ocyx,yxc->o", kernel, image[3:, :3])
    found = np.asarray(patches(IMAGES, 3))[0, 2] @ flat["projection.weight"].T
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert flat["a.cls_token"].shape == (8,)


def test_published_sizes_count_as_published():
    # ViT-Base of arXiv 2010.11929, Table 1: 86M parameters; here with its 1,000 classes.
    config = VitConfig(224, 16, 3, 1000, 768, 12, 12, 3072)
    shapes = eqx.filter_eval_shape(lambda: make_vit(config, key=jax.random.key(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert round((count - 1000 * 769) / 1e6) == 86


def test_pictures_that_do_not_fit_are_named(model):
    with pytest.raises(ValueError, match="`patch` must divide `size`, but is 4, and size is 6"):
        VitConfig(**(vars(CONFIG) | {"patch": 4}))
    with pytest.raises(ValueError, match="`patch` must divide `width`, but is 3, and width is 5"):
        model(jnp.ones((1, 6, 5, 2)))
    with pytest.raises(ValueError, match="`tokens` must have size 5 along axis 1"):
        model(jnp.ones((1, 9, 9, 2)))
