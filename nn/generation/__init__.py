"""What comes out of a model: tokens drawn one by one, and pictures by following a flow from noise to data.

Text: `sampling`, `decoding`. Flows, in reading order: `flow_time` (conventions of time, shifts), `flow_matching` (path,
loss), `guidance`, `flow_samplers`, `exact_flow` (closed forms without a network), `ddim`, `inversion`; by themselves
`codec` (pictures to latents and their statistics) and `frechet` (distances between sets of pictures).
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.generation.sampling import make_sampling, restrict, sample
from nn.generation.decoding import generate

__all__ = [
    "make_sampling",
    "restrict",
    "sample",
    "generate",
]
