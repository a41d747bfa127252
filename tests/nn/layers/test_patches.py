import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.patches import join_patches, patches

IMAGE = jnp.arange(144.0).reshape(1, 6, 12, 2)


def test_patches_are_cut_row_by_row_and_join_again():
    found = patches(IMAGE, 3)
    assert found.shape == (1, 8, 18)
    np.testing.assert_array_equal(found[0, 1], IMAGE[0, :3, 3:6].reshape(-1))
    np.testing.assert_array_equal(found[0, 4], IMAGE[0, 3:, :3].reshape(-1))
    np.testing.assert_array_equal(join_patches(found, 6, 12, 3), IMAGE)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: patches(IMAGE, 4), "`patch` must divide `height`"),
        (lambda: join_patches(patches(IMAGE, 3), 6, 7, 3), "`patch` must divide `width`"),
        (lambda: join_patches(patches(IMAGE, 3), 6, 6, 3), "`rows` must have size 4 along axis 1"),
        (lambda: join_patches(jnp.ones((1, 8, 17)), 6, 12, 3), "must divide `numbers of a patch`"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
