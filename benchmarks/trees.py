"""Which way of finding leaves comes near the truth: `python benchmarks/trees.py [--quick]`.

Made-up mixtures (unequal sizes and spreads, shared nuisance directions, 4 % noise items; `k` true clusters, grouped
into domains from 72 on) and the three levels of the made-up market. The first rows are told the true number, the rest
find it. V = V-measure on items that belong to a cluster, k = leaves found, s = seconds (one thread).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score, v_measure_score
from threadpoolctl import threadpool_limits

from penchant.config import Config, InterestsConfig, RunOptions
from penchant.data import FloatArray, IntArray, unit_rows
from penchant.encode import encode_items, make_encoder
from penchant.interests.grouping import grow, refine
from penchant.interests.leaves import find_leaves
from penchant.interests.sharpen import sharpen
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.represent import represent

Finder = Callable[[FloatArray, int], IntArray]


def mixture(n: int, k: int, gap: float, d: int = 96, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """(n, d) unit rows and their true cluster (-1: noise)."""
    rng = np.random.default_rng(seed)
    size = np.exp(0.6 * rng.normal(size=k))
    centres = rng.normal(size=(k, d))
    if k >= 72:
        centres += 1.3 * rng.normal(size=(k // 6, d))[np.arange(k) % (k // 6)]
    truth = rng.choice(k, size=n, p=size / size.sum())
    spread = np.linspace(1.8, 0.5, d) ** 1.5
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    wide = np.exp(0.25 * rng.normal(size=k))[truth][:, None]
    rows = gap * centres[truth] + (rng.normal(size=(n, d)) * spread) @ rotation * wide
    noise = rng.random(n) < 0.04
    rows[noise] = rng.normal(size=(int(noise.sum()), d)) * np.sqrt(1 + gap**2)
    return unit_rows(rows + 0.5 * rng.normal(size=d)), np.where(noise, -1, truth)


def market(level: str, method: str) -> tuple[FloatArray, IntArray]:
    """Fused vectors of the made-up market and the true interest of each item."""
    world = make_world(level=level)
    config, run = Config(encode={"method": method}), RunOptions()
    log = read_log(world.events, world.items, world.users, config=config.io)
    text = encode_items(log.items, make_encoder(config.encode, run, seed=0), config.encode, run)
    space, _ = represent(log.events, log.items, text, config.represent, run, seed=0)
    known = log.items.table.join(world.truth["items"], on="item_id", how="left", maintain_order="left")
    _, truth = np.unique(known["interest_id"].fill_null("").to_numpy(), return_inverse=True)
    return space.fused.values, np.where(known["interest_id"].is_null().to_numpy(), -1, truth)


def by_silhouette(values: FloatArray, _: int) -> IntArray:
    best, found = -2.0, np.zeros(len(values), np.int32)
    for k in np.unique(np.geomspace(2, min(200, len(values) // 5), 12).astype(int)):
        labels = KMeans(k, n_init=1, random_state=0).fit_predict(values)
        worth = silhouette_score(values, labels, sample_size=1500, random_state=0)
        if worth > best:
            best, found = worth, labels
    return found


def by_density(values: FloatArray, _: int) -> IntArray:
    reduced = PCA(20, random_state=0).fit_transform(values)
    return HDBSCAN(min_cluster_size=8, min_samples=3, copy=True).fit_predict(reduced)


def ours_told(values: FloatArray, k: int) -> IntArray:
    space = sharpen(values, seed=0)
    return refine(space, grow(space, seed=0).cut(k), 10)


FINDERS: dict[str, Finder] = {
    "k-means, told k": lambda x, k: KMeans(k, n_init=1, random_state=0).fit_predict(x),
    "Ward + k-means, told k": lambda x, k: refine(x, grow(x, seed=0).cut(k), 10),
    "sharpened Ward + k-means, told k": ours_told,
    "k-means, k by silhouette": by_silhouette,
    "HDBSCAN on 20 components": by_density,
    "penchant": lambda x, _: find_leaves(x, InterestsConfig(), seed=0).labels,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small mixtures and the middle market only")
    quick = parser.parse_args().quick
    shapes = [(600, 3), (1000, 8), (2000, 30), (3000, 72), (6000, 150)][: 3 if quick else 5]
    cases = {f"mixture k={k} gap={gap}": mixture(n, k, gap) for n, k in shapes for gap in (0.7, 1.2)}
    for level in ("middle",) if quick else ("easy", "middle", "hard"):
        for method in ("tfidf",) if quick else ("tfidf", "transformer"):
            cases[f"market {level} {method}"] = market(level, method)
    for name, (values, truth) in cases.items():
        print(f"\n{name}: {len(values)} items, {truth.max() + 1} true")
        judged = (truth >= 0) & (np.abs(values).sum(axis=1) > 0)
        for title, find in FINDERS.items():
            start = time.perf_counter()
            labels = find(values, int(truth.max()) + 1)
            took = time.perf_counter() - start
            v, ari = (score(truth[judged], labels[judged]) for score in (v_measure_score, adjusted_rand_score))
            print(f"  {title:34} V {v:.3f}  ARI {ari:.3f}  k {labels.max() + 1:4d}  {took:5.1f} s", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
