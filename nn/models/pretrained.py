"""Models with the weights of a file: sizes out of what the file says of itself, every tensor placed or reported."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from nn.models import encoder as encoders
from nn.models.decoder import Decoder, DecoderConfig, make_decoder, tensor_table
from nn.models.encoder import Encoder, EncoderConfig, make_encoder
from nn.weights import assign
from nn.weights.tensor_file import TensorFile

_ARCHITECTURES = ("llama", "qwen3")


def load_decoder(file: TensorFile, *, dtype: Any = jnp.float32) -> Decoder:
    """The decoder of a GGUF file, its blocks stacked.

    Args:
        file: What `nn.weights.open_packaged` or `nn.weights.gguf_file.read_gguf` opened.
        dtype: Type of the weights; four bits are turned into numbers once, here.

    Raises:
        ValueError: If it is of an architecture that is none of ours, or a tensor does not fit; names them.
    """
    config = gguf_config(file.metadata, file.shapes)
    hollow = eqx.filter_eval_shape(lambda key: make_decoder(config, key=key, dtype=dtype), _KEY)
    return assign(hollow, file, tensor_table(config, gguf=True))


def load_encoder(
    file: TensorFile, *, heads: int, norm_eps: float = 1e-12, dtype: Any = jnp.float32
) -> Encoder:
    """The encoder of a file with the names of transformers' BERT, such as MiniLM's (12 heads), without its pooler.

    Args:
        file: What `nn.weights.read_safetensors` opened.
        heads: Heads; the shapes do not say it.
        norm_eps: eps of all norms.
        dtype: Type of the weights.

    Raises:
        ValueError: If a table of embeddings is missing, or a tensor does not fit; names them.
    """
    tables = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    first = "encoder.layer.0.intermediate.dense.weight"
    missing = [name for name in (*tables, first) if name not in file.shapes]
    if missing:
        raise ValueError(f"`file` must hold {', '.join(missing)}, but does not; is it a BERT?")
    (vocabulary, width), (max_length, _), (kinds, _) = (file.shapes[name] for name in tables)
    layers = {name.split(".")[2] for name in file.shapes if name.startswith("encoder.layer.")}
    config = EncoderConfig(
        vocabulary, width, len(layers), heads, file.shapes[first][0], max_length, kinds, norm_eps
    )
    hollow = eqx.filter_eval_shape(lambda key: make_encoder(config, key=key, dtype=dtype), _KEY)
    unused = ("pooler.*", "embeddings.position_ids")
    return assign(hollow, file, encoders.tensor_table(config), leftovers=unused)


# Of a shape alone; nothing is drawn.
_KEY = jax.eval_shape(lambda: jax.random.key(0))


def gguf_config(entries: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> DecoderConfig:
    """Sizes of the decoder that a GGUF file describes.

    Args:
        entries: `metadata` of the file.
        shapes: `shapes` of the file; the vocabulary and whether the head is the table stand nowhere else.

    Raises:
        ValueError: If the architecture is none of ours, or an entry is missing or asks for what we have not.
    """
    kind = entries.get("general.architecture")
    if kind not in _ARCHITECTURES:
        raise ValueError(
            f"`entries` must describe an architecture of {', '.join(_ARCHITECTURES)}, but describe {kind}."
        )

    def read(name: str, otherwise: Any = None) -> Any:
        value = entries.get(f"{kind}.{name}", otherwise)
        if value is None:
            raise ValueError(f"`entries` must hold {kind}.{name}, but do not.")
        return value

    width, heads = read("embedding_length"), read("attention.head_count")
    head_dim = read("attention.key_length", width // heads)
    others = {
        "rope.scaling.type": "none",
        "rope.dimension_count": head_dim,
        "attention.value_length": head_dim,
    }
    for name, plain in others.items():
        if read(name, plain) != plain:
            raise ValueError(
                f"`entries` must leave {kind}.{name} at {plain}, but set it to {read(name)}, which is not known here."
            )
    if "token_embd.weight" not in shapes:
        raise ValueError(
            "`shapes` must hold token_embd.weight, the table of embeddings, but do not."
        )
    return DecoderConfig(
        vocabulary=shapes["token_embd.weight"][0],
        width=width,
        n_layers=read("block_count"),
        heads=heads,
        kv_heads=read("attention.head_count_kv", heads),
        head_dim=head_dim,
        hidden=read("feed_forward_length"),
        query_key_norm=kind == "qwen3",
        tied="output.weight" not in shapes,
        rotary_base=read("rope.freq_base", 10_000.0),
        norm_eps=read("attention.layer_norm_rms_epsilon"),
    )
