"""What comes out of a model: tokens drawn one by one, and pictures by following a flow from noise to data.

Text: `sampling`, `decoding`. Flows, in reading order: `flow_time` (conventions of time, shifts), `flow_matching` (path,
loss), `guidance`, `flow_samplers`, `exact_flow` (closed forms without a network), `ddim`, `inversion`,
`posterior_sampling` (what a measurement leaves open); by themselves `codec` (pictures to latents and their statistics)
with `variational_codec` and `semantic_codec`, and `frechet` (distances between sets of pictures).
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.generation.sampling import make_sampling, restrict, sample
from nn.generation.decoding import generate
from nn.generation.flow_time import make_grid, make_shift
from nn.generation.flow_samplers import sample_flow, straightness
from nn.generation.exact_flow import make_finite_flow
from nn.generation.codec import PixelCodec, fit_statistics
from nn.generation.frechet import frechet_distance

__all__ = [
    "make_sampling",
    "restrict",
    "sample",
    "generate",
    "make_grid",
    "make_shift",
    "sample_flow",
    "straightness",
    "make_finite_flow",
    "PixelCodec",
    "fit_statistics",
    "frechet_distance",
]
