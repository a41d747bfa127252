"""Models of language and pictures, made of layers, each with the names of published weights."""

# Order of dependency, which ruff would sort away.
from nn.models.decoder import Decoder, DecoderConfig, make_decoder

__all__ = ["Decoder", "DecoderConfig", "make_decoder"]
