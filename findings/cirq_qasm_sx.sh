#!/usr/bin/env bash
# OpenQASM 2 written by Cirq is not always read by Qiskit's own OpenQASM 2 reader, and carries ten digits.
#
# With: cirq-core 1.7.0, qiskit 2.6.2.
# Expected: `qiskit.qasm2.loads(cirq.qasm(circuit))` gives the same unitary to rounding.
# Seen: Cirq writes a quarter turn about x as `sx`, which is not in the qelib1.inc of the OpenQASM 2 paper. `qasm2.loads`
#   keeps to that file: "'sx' is not defined in this scope". This hits X**0.5, CZ**(1/3) and FSimGate, which is written
#   with such turns, and not iSWAP**0.5. `QuantumCircuit.from_qasm_str` (Qiskit's own larger set) reads all of them. Then angles
#   have the ten digits that Cirq writes: the unitary of fsim(0.3, 0.5) is off by 2e-10, that of iSWAP**0.5 by 1e-16.
# Way round: hand over matrices or gates, not text, or ask Cirq for `precision=15`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet cirq-core==1.7.0 qiskit==2.6.2
cd "$folder"
cat >look.py <<'PYTHON'
import cirq
import numpy as np
from qiskit import QuantumCircuit, qasm2
from qiskit.quantum_info import Operator

qubits = cirq.LineQubit.range(2)


def distance(text, gate):
    """Largest difference of the unitaries up to a phase; qubits reversed, as Qiskit's first is the least significant."""
    found, wanted = Operator(QuantumCircuit.from_qasm_str(text).reverse_bits()).data, cirq.unitary(gate)
    overlap = np.vdot(wanted, found)
    return np.abs(found - overlap / abs(overlap) * wanted).max()


def refused(text):
    try:
        qasm2.loads(text)
    except qasm2.QASM2ParseError as error:
        return "'sx' is not defined" in str(error)
    return False


for gate, is_refused in (
    (cirq.FSimGate(0.3, 0.5), True),
    (cirq.CZ ** (1 / 3), True),
    (cirq.X**0.5, True),
    (cirq.ISWAP**0.5, False),
):
    circuit = cirq.Circuit(gate(*qubits[: gate.num_qubits()]))
    text = cirq.qasm(circuit)
    print(f"{gate!s:32} refused by qasm2.loads: {refused(text)}, read leniently it is off by {distance(text, gate):.0e}")
    assert refused(text) == is_refused, "CHANGED"
fsim = cirq.FSimGate(0.3, 0.5)
circuit = cirq.Circuit(fsim(*qubits))
assert 1e-11 < distance(cirq.qasm(circuit), fsim) < 1e-8, "CHANGED"
fine = distance(circuit.to_qasm(precision=15), fsim)
print(f"fsim with precision=15: off by {fine:.0e}")
assert fine < 1e-13, "CHANGED"
PYTHON
"$folder/env/bin/python" look.py
echo "as found"
