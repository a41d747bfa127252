"""Solves a netlist of couplers and phase shifters with sax; runs in an environment of its own.

    python sax_netlist.py NETLIST.json  ->  {"port>port": [real, imaginary]} on standard output

The two models are written here once more, from their definition, so that sax checks ours and does not repeat it.
"""

import json
import sys

import jax
import jax.numpy as jnp
import sax  # pyright: ignore


def coupler(angle=jnp.pi / 4):
    """The power share cos^2(angle) goes straight on, the rest crosses with a quarter turn."""
    straight, across = jnp.cos(angle) + 0j, 1j * jnp.sin(angle)
    return sax.reciprocal(
        {
            ("in0", "out0"): straight,
            ("in0", "out1"): across,
            ("in1", "out0"): across,
            ("in1", "out1"): straight,
        }
    )


def phase_shifter(phase=0.0, loss_db=0.0):
    """A longer path is a positive phase."""
    return sax.reciprocal({("in0", "out0"): 10 ** (-loss_db / 20) * jnp.exp(1j * phase)})


MODELS = {"coupler": coupler, "phase_shifter": phase_shifter}


def main(path):
    """Prints the S-matrix of a netlist."""
    jax.config.update("jax_enable_x64", True)
    with open(path) as file:
        netlist = json.load(file)
    circuit, _ = sax.circuit(netlist, models=MODELS)
    pairs = sax.sdict(circuit())
    print(json.dumps({f"{a}>{b}": [float(v.real), float(v.imag)] for (a, b), v in pairs.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
