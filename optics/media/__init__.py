"""What light passes between two planes, prepared for repeated use.

Reading order: `separable` (products of two small matrices), `free_space_kernels`, `free_space` (one geometry prepared),
`geometry` (the data sheet of a module), `scattering` (phase screens and thick media). Stands on `waves`.
"""
