import numpy as np
import pytest

from experiments.learning_systems import sparse_attention
from experiments.learning_systems.sparse_models import Sizes

TINY = sparse_attention.Config(
    Sizes(
        length=16, width=16, n_layers=1, heads=2, hidden=16, k=5, index_heads=4, index_dim=8, block=4,
        n_mixed=2, n_chosen=2, window=1, batch_size=8, learning_rate=0.01, n_steps=75, n_sparse=25, n_index=125,
    ),
    repeats=1, others=("branches",), n_train=300, n_test=60, real_windows=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return sparse_attention.run(TINY)


def test_the_index_catches_nearly_what_the_best_keys_would(outcome):
    index, best, last = (
        outcome.metrics[f"weight.{share}"].value for share in ("index", "best", "last")
    )
    assert last < index < best
    assert index > 0.8 * best


def test_every_kind_is_told_for_every_task(outcome):
    assert TINY.kinds == ("dense", "index", "branches")  # the quick run has the blocks
    for kind in TINY.kinds:
        found = outcome.arrays[f"right.{kind}"]
        assert found.shape == (1, 3)
        assert (found >= 0).all()
        assert (found <= 1).all()
        mean = np.mean([outcome.metrics[f"right.{kind}.{t}"].value for t in sparse_attention.TASKS])
        assert mean == pytest.approx(100 * found.mean())
    assert outcome.metrics["keys_read.index"].value == 5
    labels = [text.get_text() for text in sparse_attention.plot(outcome).axes[0].get_legend().texts]
    assert len(labels) == 3
    assert "right.blocks" not in outcome.arrays
    assert labels[1] == "index (DSA), reads 31 %"
