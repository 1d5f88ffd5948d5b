"""Cross-entropy over items: in blocks over all of them, or over a sample."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

# Logits of one block: small enough to stay in a core's cache, large enough to keep a GPU busy.
BLOCK_ELEMENTS = {"cpu": 2**20, "cuda": 2**27}


def softmax_loss(
    hidden: torch.Tensor,
    items: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sum over targets of -weight log softmax(hidden[row] . items)[column].

    The (n, m) logits are never held whole: each block of rows gives its loss and its gradients at once and is dropped.
    That is 3 products of n x m x d and one exponential an element, without the passes over memory in between.

    Args:
        hidden: (n, d), and items: (m, d); a bias is one more column, with ones in `hidden`.
        rows: (t,) ascending, and columns: (t,): the targets. weights: (t,); None = one each.

    >>> softmax_loss(torch.zeros(1, 2), torch.ones(4, 2), torch.tensor([0]), torch.tensor([3])).item()
    1.3862943649291992
    """
    if weights is None:
        weights = torch.ones_like(rows, dtype=torch.float32)
    loss: torch.Tensor = _SoftmaxLoss.apply(hidden, items, rows, columns, weights)
    return loss


class _SoftmaxLoss(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        items: torch.Tensor,
        rows: torch.Tensor,
        columns: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        n, m = len(hidden), len(items)
        step = max(16, BLOCK_ELEMENTS.get(hidden.device.type, 2**20) // max(1, m))
        grad_hidden, grad_items = torch.empty_like(hidden), torch.zeros_like(items)
        starts = list(range(0, n, step))
        edges = torch.searchsorted(rows, torch.tensor([*starts, n], device=rows.device)).tolist()
        total = hidden.new_zeros((), dtype=torch.float32)
        for number, start in enumerate(starts):
            own = slice(edges[number], edges[number + 1])
            block, row, column, weight = hidden[start : start + step], rows[own] - start, columns[own], weights[own]
            logits = (block @ items.T).float()
            mass = logits.new_zeros(len(block)).index_add_(0, row, weight)
            log_sum = torch.logsumexp(logits, dim=1)
            total += (log_sum * mass).sum() - (logits[row, column] * weight).sum()
            logits.sub_(log_sum[:, None]).exp_().mul_(mass[:, None])
            logits.index_put_((row, column), -weight, accumulate=True)
            error = logits.to(block.dtype)
            grad_hidden[start : start + step] = error @ items
            grad_items += error.T @ block
        ctx.save_for_backward(grad_hidden, grad_items)
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_hidden, grad_items = ctx.saved_tensors
        return grad * grad_hidden, grad * grad_items, None, None, None


def sampled_softmax_loss(
    hidden: torch.Tensor, positive: torch.Tensor, negatives: torch.Tensor, bias: torch.Tensor, hit: torch.Tensor
) -> torch.Tensor:
    """Sum of the cross-entropy of each target against the target and the drawn items.

    Args:
        hidden, positive: (n, d), and negatives: (k, d): items drawn for the whole batch.
        bias: (k,) -log of the expected number of draws of each, the log-Q correction (Bengio & Senecal 2008): the
            sampled sum is then an unbiased estimate of the whole one.
        hit: (n, k) true where a drawn item is the row's own target: left out.
    """
    own = (hidden * positive).sum(dim=1, keepdim=True)
    others = (hidden @ negatives.T + bias).masked_fill(hit, -torch.inf)
    logits = torch.cat([own, others], dim=1).float()
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device), reduction="sum")
