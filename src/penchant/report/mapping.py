"""Where items lie on the interest map: leaves by t-SNE of their centres, items around their leaf."""

from __future__ import annotations

import numpy as np

from penchant.data import FloatArray, IntArray, InterestTree, ItemSpace


def map_items(tree: InterestTree, space: ItemSpace, item_rows: IntArray, *, seed: int) -> FloatArray:
    """Place items in the plane.

    Leaves are placed by t-SNE of their centroids (van der Maaten and Hinton, 2008); each item lies around the mean of
    its leaves, weighted by membership, offset along the two main directions of what the leaves do not explain. Cost:
    one t-SNE of n_leaves points and one SVD, not a t-SNE of all items.

    Returns:
        (len(item_rows), 2), in the order given.
    """
    if not len(item_rows):
        return np.zeros((0, 2), np.float32)
    centres = place_leaves(tree, seed=seed)
    membership = tree.membership.tocsr()[item_rows]
    base = np.asarray(membership @ centres)
    vectors = space.fused.values[item_rows]
    rest = vectors - np.asarray(membership @ tree.centroids)
    offset = _two_directions(rest)
    spacing = _typical_gap(centres)
    spread = np.abs(offset).max(axis=0)
    scaled = offset / np.where(spread > 0, spread, 1.0) * spacing * 0.55
    return np.asarray(base + scaled, np.float32)


def place_leaves(tree: InterestTree, *, seed: int) -> FloatArray:
    """(n_leaves, 2) positions of the leaves; fewer than five leaves stand on a circle."""
    n = tree.n_leaves
    if n < 5:
        angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
        return np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    from sklearn.manifold import TSNE

    perplexity = float(np.clip((n - 1) / 4, 2, 15))
    flat = TSNE(2, perplexity=perplexity, init="pca", metric="cosine", method="exact", random_state=seed)
    placed = flat.fit_transform(tree.centroids.astype(np.float64))
    placed -= placed.mean(axis=0)
    return np.asarray(placed / max(float(np.abs(placed).max()), 1e-9), np.float32)


def _two_directions(rest: FloatArray) -> FloatArray:
    if len(rest) < 3:
        return np.zeros((len(rest), 2), np.float32)
    _, _, axes = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(axis=1)].diagonal())[:, None]  # a fixed sign
    flat = rest @ axes.T
    return np.asarray(np.arctan(flat / (flat.std(axis=0) + 1e-9)), np.float32)


def _typical_gap(centres: FloatArray) -> float:
    if len(centres) < 2:
        return 1.0
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    return float(np.median(gaps.min(axis=1)))
