import math
from collections import Counter

import cotengra
import numpy as np
import pytest

from quantum.engines.tree_annealing import AnnealedTree, anneal_tree


def random_network(n_tensors, n_indices, seed, n_open=0):
    """Tensors of up to four legs; an index stands on two of them or more."""
    rng = np.random.default_rng(seed)
    names = [f"i{number:03d}" for number in range(n_indices)]
    inputs = [tuple(rng.choice(names, rng.integers(2, 5), replace=False)) for _ in range(n_tensors)]
    times = Counter(name for tensor in inputs for name in tensor)
    inputs = [tuple(name for name in tensor if times[name] > 1) for tensor in inputs]
    return inputs, tuple(sorted(name for name in times if times[name] > 1)[:n_open])


def chain_path(n_tensors):
    """One tensor after another, which is a bad tree for a random network."""
    return [(0, 1)] + [(n_tensors + k, k + 2) for k in range(n_tensors - 2)]


def contracted(inputs, output, tree: AnnealedTree, seed=0):
    """Value and the largest intermediate tensor, by numpy, slice by slice along the path found."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(2,) * len(names)) for names in inputs]
    total, largest, work = 0.0, 0, 0.0
    for values in np.ndindex(*(2,) * len(tree.sliced)):
        fixed = dict(zip(tree.sliced, values, strict=True))
        left = {}
        for number, (array, names) in enumerate(zip(arrays, inputs, strict=True)):
            picked = tuple(fixed.get(name, slice(None)) for name in names)
            left[number] = (array[picked], [name for name in names if name not in fixed])
        for step, (a, b) in enumerate(tree.path):
            one, two = left.pop(a), left.pop(b)
            outside = {name for _, names in left.values() for name in names} | set(output)
            both = sorted({*one[1], *two[1]})
            kept = [name for name in both if name in outside]
            letter = {name: number for number, name in enumerate(both)}
            result = np.einsum(
                one[0], [letter[n] for n in one[1]], two[0], [letter[n] for n in two[1]], [letter[n] for n in kept]
            )  # fmt: skip
            left[len(inputs) + step] = (result, kept)
            largest, work = max(largest, len(kept)), work + 2.0 ** len(both)
        ((value, names),) = left.values()
        total = total + value.transpose([names.index(name) for name in output])
    return total, largest, work


@pytest.mark.parametrize(("n_open", "max_width"), [(0, None), (2, None), (0, 3), (2, 3)])
def test_the_value_stays_and_the_cost_is_what_is_spent(n_open, max_width):
    inputs, output = random_network(14, 16, 3, n_open)
    start = anneal_tree(inputs, output, chain_path(14), sweeps=0)
    found = anneal_tree(inputs, output, chain_path(14), sweeps=60, seed=1, max_width=max_width)
    value, _, _ = contracted(inputs, output, start)
    same, largest, work = contracted(inputs, output, found)
    assert same == pytest.approx(value, rel=1e-10)
    assert found.width == largest
    assert found.log2_work == pytest.approx(math.log2(work))
    if max_width is None:
        assert not found.sliced
        assert found.log2_work < start.log2_work
    else:
        assert found.width <= max_width < start.width
        assert found.sliced
        assert not set(found.sliced) & set(output)


def test_cotengra_counts_the_same_work_and_finds_no_better_tree():
    inputs, output = random_network(40, 44, 6)
    found = anneal_tree(inputs, output, chain_path(40), sweeps=2000, max_width=8)
    names = sorted({name for tensor in inputs for name in tensor})
    symbols = {name: cotengra.get_symbol(k) for k, name in enumerate(names)}
    sizes = dict.fromkeys(symbols.values(), 2)
    letters = [[symbols[name] for name in tensor] for tensor in inputs]
    tree = cotengra.ContractionTree.from_path(letters, [], sizes, ssa_path=found.path)
    for name in found.sliced:
        tree.remove_ind_(symbols[name])
    assert math.log2(tree.total_flops()) == pytest.approx(found.log2_work)
    assert tree.max_size() == 2**found.width
    theirs = cotengra.ContractionTree.from_path(letters, [], sizes, ssa_path=chain_path(40))
    theirs.simulated_anneal_(target_size=2**8, minimize="flops", tsteps=10, numiter=10, seed=0)
    theirs.slice_(target_size=2**8, minimize="flops", seed=0)
    assert found.log2_work <= math.log2(theirs.total_flops())


def test_a_ring_of_matrices_finds_its_best_order():
    # Closed forms: a pairwise contraction along a ring costs 2^3, the last two tensors 2^2; all 8 of them.
    names = [f"r{k}" for k in range(8)]
    ring = [(names[k], names[(k + 1) % 8]) for k in range(8)]
    far_apart = [(0, 4), (1, 5), (2, 6), (3, 7), (8, 9), (10, 11), (12, 13)]
    assert anneal_tree(ring, (), far_apart, sweeps=0).width == 4
    found = anneal_tree(ring, (), far_apart, sweeps=300)
    assert 2**found.log2_work == pytest.approx(6 * 2**3 + 2**2)
    assert found.width == 2
    # One slice opens the ring: 2 chains, vectors against matrices.
    sliced = anneal_tree(ring, (), far_apart, sweeps=300, max_width=1)
    assert len(sliced.sliced) == 1
    assert 2**sliced.log2_work == pytest.approx(2 * (6 * 2**2 + 2**1))


def test_the_same_seed_finds_the_same_tree():
    inputs, output = random_network(40, 44, 2)
    trees = [
        anneal_tree(inputs, output, chain_path(40), sweeps=40, seed=s, max_width=7)
        for s in (3, 3, 4)
    ]
    assert trees[0] == trees[1] != trees[2]


def test_more_than_one_word_of_indices_is_counted_right():
    # 200 indices fill four words; a chain of vectors and matrices costs 4 a step.
    names = [f"{k:04d}" for k in range(200)]
    chain = [(names[0],), *[(names[k], names[k + 1]) for k in range(199)], (names[199],)]
    start = anneal_tree(chain, (), chain_path(201), sweeps=0)
    assert 2**start.log2_work == pytest.approx(199 * 4 + 2)
    assert start.width == 1


def test_what_cannot_be_is_named():
    inputs, output = random_network(6, 8, 0, 2)
    with pytest.raises(ValueError, match="`path` must hold one contraction less"):
        anneal_tree(inputs, output, chain_path(5), sweeps=1)
    with pytest.raises(ValueError, match="`path` must hold one contraction less"):
        anneal_tree([("a",)], (), [], sweeps=1)
    with pytest.raises(ValueError, match="`path` must contract two tensors that are still there"):
        anneal_tree(inputs, output, [(0, 1)] * 5, sweeps=1)
    with pytest.raises(ValueError, match="`max_width` must be at least 2 here, but is 1"):
        anneal_tree(inputs, output, chain_path(6), sweeps=1, max_width=1)
    with pytest.raises(ValueError, match="`sweeps` must be at least 0"):
        anneal_tree(inputs, output, chain_path(6), sweeps=-1)
