"""Costs of feed-forward layers: one for all tokens, or a mixture of experts of which each token takes a few.

A step reads each expert once that any of its tokens takes; how many those are on average is said by
`nn.layers.expert_statistics`.
"""

from dataclasses import dataclass

from nn._checks import check_in_range
from nn.layers.expert_statistics import expected_active, most_active
from nn.layers.mixture import MixtureConfig
from nn.roofline.conventions import Conventions
from nn.roofline.mixers import Map


@dataclass(frozen=True)
class FeedCost:
    """A gated layer (SwiGLU), or a mixture of them.

    Attributes:
        width: Size of a token.
        hidden: Hidden size of the one layer; of no use with `mixture`.
        mixture: Experts in its place.
    """

    width: int
    hidden: int
    mixture: MixtureConfig | None = None

    def maps(self) -> list[Map]:
        """Maps that every token goes through: those of the layer, or router and shared expert with its gate."""
        if self.mixture is None:
            return self._gated(self.hidden)
        found = [Map(self.width, self.mixture.n_experts)]
        if self.mixture.shared_hidden:
            found += self._gated(self.mixture.shared_hidden)
            found += [Map(self.width, 1)] * self.mixture.shared_gated
        return found

    def expert(self) -> list[Map]:
        """Maps of one expert; none where there are none."""
        return [] if self.mixture is None else self._gated(self.mixture.hidden)

    def other_weights(self) -> int:
        """The bias of the choice."""
        biased = self.mixture is not None and self.mixture.selection_bias
        return self.n_experts if biased else 0

    @property
    def n_experts(self) -> int:
        """Experts there are."""
        return 0 if self.mixture is None else self.mixture.n_experts

    @property
    def n_chosen(self) -> int:
        """Experts that a token takes."""
        return 0 if self.mixture is None else self.mixture.n_chosen

    def experts_read(self, n_tokens: int, conventions: Conventions) -> float | int:
        """Experts that a step of so many tokens, of all rows together, reads."""
        match conventions.experts:
            case _ if self.mixture is None:
                return 0
            case "expected":
                return float(expected_active(self.n_experts, self.n_chosen, n_tokens))
            case "apart":
                return float(most_active(self.n_experts, self.n_chosen, n_tokens))
            case "all":
                return self.n_experts
            case number:
                hint = "So many experts there are."
                check_in_range(number, "experts", 0, self.n_experts, hint=hint)
                return number

    def _gated(self, hidden: int) -> list[Map]:
        return [Map(self.width, hidden), Map(self.width, hidden), Map(hidden, self.width)]
