"""Rates out of steps: a prompt in chunks, drafts verified together, and the batch at which one model passes another.

    tokens of a verified step = 1 + a + ... + a^k = (1 - a^(k + 1)) / (1 - a)

where each of k drafted tokens is accepted with probability a, independently, up to the first that is not, and one
token more comes from the step itself: Y. Leviathan, M. Kalman, Y. Matias, arXiv 2211.17192, eq. 1.
"""

import dataclasses

from nn._checks import check_at_least, check_in_range
from nn.roofline.chip import Chip
from nn.roofline.conventions import Conventions
from nn.roofline.models import ModelCost
from nn.roofline.steps import Step, step


def prefill(
    model: ModelCost,
    chip: Chip,
    n_tokens: int,
    *,
    chunk: int | None = None,
    batch: int = 1,
    conventions: Conventions = Conventions(),  # noqa: B008
) -> list[Step]:
    """Steps that read a prompt; the time is the sum of theirs.

    Args:
        model: Model.
        chip: Chip.
        n_tokens: Tokens of the prompt of each row.
        chunk: Tokens of a row in a step; None takes all at once.
        batch: Rows.
        conventions: What is counted; only the last chunk makes logits, of the last token, unless they say "all".

    Raises:
        ValueError: If a count is below 1.
    """
    check_at_least(n_tokens, 1, "n_tokens")
    size = n_tokens if chunk is None else chunk
    check_at_least(size, 1, "chunk")
    return [
        step(
            model,
            chip,
            batch=batch,
            new=min(size, n_tokens - before),
            before=before,
            conventions=conventions,
        )
        for before in range(0, n_tokens, size)
    ]


def accepted_tokens(n_drafted: int, acceptance: float | int) -> float:
    """Tokens that a verified step gives on average.

    Args:
        n_drafted: Drafted tokens, k.
        acceptance: Probability a that one is accepted.

    Raises:
        ValueError: If `n_drafted` is negative or `acceptance` no probability.
    """
    check_at_least(n_drafted, 0, "n_drafted")
    check_in_range(acceptance, "acceptance", 0, 1)
    return float(sum(acceptance**i for i in range(n_drafted + 1)))


def speculative_rate(
    model: ModelCost,
    chip: Chip,
    *,
    n_drafted: int,
    acceptance: float | int,
    draft: ModelCost | None = None,
    batch: int = 1,
    before: int = 0,
    conventions: Conventions = Conventions(),  # noqa: B008
) -> float:
    """Tokens per second, of all rows, where a step verifies drafted tokens.

    Args:
        model: Model that verifies.
        chip: Chip.
        n_drafted: Drafted tokens for each row.
        acceptance: Probability that one is accepted.
        draft: Model that drafts, token by token; None where drafts cost nothing.
        batch: Rows.
        before: Tokens of each row that are kept already.
        conventions: What is counted; the logits of all tokens of a step are made.

    Raises:
        ValueError: If a count is too small or `acceptance` no probability.
    """
    tokens = accepted_tokens(n_drafted, acceptance)
    counted = dataclasses.replace(conventions, logits="all")
    check = step(
        model, chip, batch=batch, new=n_drafted + 1, before=before, conventions=counted
    ).seconds(chip)
    if draft is not None:
        check += sum(
            step(draft, chip, batch=batch, before=before + i, conventions=conventions).seconds(chip)
            for i in range(n_drafted)
        )
    return batch * tokens / check


def crossover_batch(
    model: ModelCost,
    other: ModelCost,
    chip: Chip,
    *,
    before: int = 0,
    most: int = 1024,
    conventions: Conventions = Conventions(),  # noqa: B008
) -> int | None:
    """Smallest batch at which a step of decoding moves at least as many bytes in `model` as in `other`; None for never.

    Args:
        model: Model that moves less for one row, such as a mixture of experts.
        other: Model it is compared with.
        chip: Says in how many bits weights and caches are kept.
        before: Tokens of each row that are kept already.
        most: Largest batch that is tried.
        conventions: What is counted.

    Raises:
        ValueError: If a count is too small.
    """
    check_at_least(most, 1, "most")
    for batch in range(1, most + 1):
        first, second = (
            step(m, chip, batch=batch, before=before, conventions=conventions).total_bytes
            for m in (model, other)
        )
        if first >= second:
            return batch
    return None
