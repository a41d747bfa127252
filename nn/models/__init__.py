"""Models of language and pictures, made of layers, each with the names of published weights."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
from nn.models.decoder import Decoder, DecoderConfig, make_decoder
from nn.models.pretrained import load_decoder, load_encoder

__all__ = [
    "Decoder",
    "DecoderConfig",
    "make_decoder",
    "load_decoder",
    "load_encoder",
]
