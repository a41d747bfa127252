import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quantum.spins.coupling_table import make_coupling_table

HZ = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])


def test_a_table_reads_like_its_numbers_and_keeps_its_nuclides():
    table = make_coupling_table(HZ, ("C(Iso=13)", "19F", "H"))
    assert table.isotopes == ("13C", "19F", "1H")
    assert (len(table), table.shape, float(table[1, 2])) == (3, (3, 3), 3.0)
    np.testing.assert_array_equal(np.asarray(table), HZ)
    np.testing.assert_array_equal(jnp.abs(-1 * table.hz), HZ)
    assert (2 * table).isotopes == table.isotopes
    np.testing.assert_array_equal(2 * table, 2 * HZ)
    part = table.of((2, 0))
    assert (part.isotopes, float(part[0, 1])) == (("1H", "13C"), 2.0)
    assert table.where("F") == (1,)
    assert jax.tree.map(lambda a: a + 1, table).isotopes == table.isotopes


def test_a_nuclide_that_is_no_spin_half_is_named():
    with pytest.raises(ValueError, match="`isotopes` must be spins 1/2, but hold 14N of spin 1"):
        make_coupling_table(HZ, ("13C", "N", "H"))
    with pytest.raises(ValueError, match=r"`couplings_hz` must have shape \(2, 2\)"):
        make_coupling_table(HZ, ("13C", "H"))
