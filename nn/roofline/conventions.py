"""What is counted and what is not: all choices that move the numbers of a roofline, to be printed beside them.

Published numbers differ by these choices more than by the chips: that of which batch on a mixture of experts reads more
than a dense model moves from 9 to 10 by whether the table of embeddings is read, and the saving of sparse attention
from 1.8 to 0.4 by what it is compared with.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from nn._checks import check_at_least, check_choice, check_in_range

Number = float | int


@dataclass(frozen=True)
class Conventions:
    """Choices of what is counted.

    Attributes:
        tables: Which tables of the vocabulary are read in a step: the "head", from which the logits are made (of the
            embedding a few rows are looked up and not counted), "both", or "none". A model whose head is the table of
            embeddings has one.
        experts: How many experts a step reads: the number "expected" where each token takes its own at random, "apart"
            where no two tokens share one until all are read, "all", or a number.
        latent_form: Form of latent attention: "absorbed", in which all heads read the latents (one head of keys), or
            "expanded", in which each has keys and values of its own, made anew of all latents in each step.
        pairs: Products of attention: "causal", those of a query with keys up to its own, or "square", those with all
            keys of the step, which are masked afterwards.
        logits: Whether a step of several tokens makes the logits of the "last" of each row, or of "all".
        compressed: Compressed keys of native sparse attention: "counted", or the "floor" of (n - length) / stride of
            the paper, which is one less.
        delta_chunk: Tokens of a chunk in which the delta rule takes several tokens; None counts token by token.
        writes: Whether what a step adds to the caches and states is counted as written.
        spills: Whether what passes between layers goes through memory where it is too large for the chip.
    """

    tables: Literal["head", "both", "none"] = "head"
    experts: Literal["expected", "apart", "all"] | Number = "expected"
    latent_form: Literal["absorbed", "expanded"] = "absorbed"
    pairs: Literal["causal", "square"] = "causal"
    logits: Literal["last", "all"] = "last"
    compressed: Literal["counted", "floor"] = "counted"
    delta_chunk: int | None = None
    writes: bool = True
    spills: bool = True

    def __post_init__(self):
        check_choice(self.tables, "tables", ("head", "both", "none"))
        if isinstance(self.experts, str):
            check_choice(self.experts, "experts", ("expected", "apart", "all"), "Or a number.")
        else:
            check_in_range(self.experts, "experts", 0, 1e9)
        check_choice(self.latent_form, "latent_form", ("absorbed", "expanded"))
        check_choice(self.pairs, "pairs", ("causal", "square"))
        check_choice(self.logits, "logits", ("last", "all"))
        check_choice(self.compressed, "compressed", ("counted", "floor"))
        if self.delta_chunk is not None:
            check_at_least(self.delta_chunk, 1, "delta_chunk", "It is a number of tokens.")

    def __str__(self) -> str:
        """All choices in one line, to be printed beside what was counted by them."""
        return ", ".join(
            f"{field.name.replace('_', ' ')} {getattr(self, field.name)}"
            for field in dataclasses.fields(self)
        )

    def keys_seen(self, before: int, new: int, most: int | None = None) -> int:
        """Keys that the queries of a step see, summed over them; each sees at most `most`."""
        if self.pairs == "square":
            whole = before + new
            return new * (whole if most is None else min(most, whole))
        return _triangle(before + new, most) - _triangle(before, most)


def _triangle(n: int, most: int | None) -> int:
    """Sum of min(t, most) for t from 1 to n."""
    full = n if most is None else min(n, most)
    return full * (full + 1) // 2 + (n - full) * (full if most is None else most)
