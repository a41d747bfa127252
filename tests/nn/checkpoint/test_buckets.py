"""Flat buckets: tensors joined and padded, and the boxes of each share.

Eight devices share them in `test_resharding.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.checkpoint.boxes import covers, whole
from nn.checkpoint.buckets import Bucket, BucketTensor, make_bucket
from nn.checkpoint.load import load
from nn.checkpoint.save import save

TENSORS = {
    "w": jnp.arange(15.0).reshape(3, 5),
    "b": jnp.arange(15.0, 17),
    "none": jnp.zeros((0, 2)),
}


def test_a_bucket_holds_its_tensors_and_zeros():
    bucket = make_bucket(TENSORS, n_shares=4)
    assert bucket.flat.tolist() == [*range(17), 0, 0, 0]
    for name, array in bucket.split().items():
        assert (array == TENSORS[name]).all()
        assert array.shape == TENSORS[name].shape
    doubled = jax.tree.map(lambda x: 2 * x, bucket)
    assert doubled.split()["b"].tolist() == [30, 32]


@pytest.mark.parametrize("n_shares", [1, 2, 3, 5, 20])
def test_the_boxes_of_all_shares_are_the_tensors(n_shares):
    bucket = make_bucket(TENSORS, n_shares=n_shares)
    flat = np.asarray(bucket.flat)
    share = flat.size // n_shares
    for (name, shape), start in zip(bucket.tensors, bucket.starts().values(), strict=True):
        tensor = BucketTensor(bucket.flat, shape, start)
        boxes = []
        for number in range(n_shares):
            index = (slice(number * share, (number + 1) * share),)
            for box, first in tensor.boxes(index).items():
                held = flat[index][first : first + box.size]
                there = np.asarray(TENSORS[name])[box.within(whole(shape))]
                assert (held.reshape(box.lengths) == there).all()
                boxes.append(box)
        assert covers(boxes, shape)


def test_saved_as_tensors_and_loaded_as_any_bucket(tmp_path):
    save(tmp_path / "a", {"mu": make_bucket(TENSORS, n_shares=4), "n": 1}, fsync=False, wait=True)
    plain = load(tmp_path / "a")
    assert plain["['mu']['w']"].tolist() == TENSORS["w"].tolist()
    assert plain["['mu']['none']"].shape == (0, 2)
    tensors = load(tmp_path / "a", {"mu": TENSORS, "n": 0})
    assert tensors["mu"]["b"].tolist() == [15, 16]
    turned = dict(reversed(TENSORS.items()))
    other = make_bucket(turned, n_shares=9)
    for target in (
        other,
        Bucket(np.zeros(18), other.tensors),
        Bucket(jax.ShapeDtypeStruct((18,), np.float64), other.tensors),
    ):
        found = load(tmp_path / "a", {"mu": jax.tree.map(lambda x: x, target), "n": 0})["mu"]
        assert found.tensors == other.tensors
        assert type(found.flat) is type(target.flat) or not isinstance(target.flat, np.ndarray)
        assert found.flat.tolist() == [15, 16, *range(15), 0]


def test_a_bucket_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="`tensors` must be of one dtype, but are of float32, float64"
    ):
        make_bucket({"a": jnp.ones(2), "b": jnp.ones(2, jnp.float32)}, n_shares=2)
    with pytest.raises(ValueError, match=r"at least the 6 elements .* is \(4,\)"):
        save(tmp_path / "a", Bucket(jnp.zeros(4), (("w", (2, 3)),)))
