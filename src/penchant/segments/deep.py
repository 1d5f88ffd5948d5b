"""Deep clustering: an autoencoder and the clustering objective trained together.

First the autoencoder alone learns to give rows back from few numbers; then centres are set by k-means among those, and
encoder and centres are trained on two losses at once: the Kullback-Leibler divergence between soft assignments (a
Student t kernel) and their sharpened form (DEC: Xie, Girshick & Farhadi 2016), and the reconstruction, which keeps the
space from collapsing (IDEC: Guo, Gao, Liu & Yin 2017). Needs the extra `neural`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penchant.data import FloatArray
from penchant.errors import MissingExtraError
from penchant.segments.method import Fit, Floats, Options
from penchant.segments.reduce import reduce

_HIDDEN = 128
_MAX_CODE = 10  # numbers a row is coded in, at most, as in both papers
_ALONE, _TOGETHER = 60, 40  # rounds over the rows
_BATCH = 256
_RATE = 2e-3
_CLUSTERING = 0.1  # weight of the clustering loss beside the reconstruction, as in IDEC
_DROPOUT = 0.1
_REFRESH = 5  # rounds between two looks at the sharpened assignments


def deep(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """IDEC on one thread, small enough for a CPU: 2,000 rows in some seconds.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtraError("segments.method 'deep'", "neural") from None

    assert n_clusters is not None  # `cluster` gives None only to methods that find the number
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums, so the bytes, would change with threads
    try:
        with torch.random.fork_rng(devices=[]):  # the caller's stream of random numbers stays as it was
            torch.manual_seed(seed)
            labels = _train(torch, rows, n_clusters, seed)
    finally:
        torch.set_num_threads(threads)
    return Fit(np.asarray(labels, np.int32))


def _train(torch: Any, rows: FloatArray, k: int, seed: int) -> Any:
    x = torch.from_numpy(np.asarray(rows / rows.std(), np.float32))
    # as many numbers as hold more than chance, and one more: a code is no straight projection
    code = min(reduce(rows, seed).values.shape[1] + 1, _MAX_CODE)
    encoder, decoder = _network(torch, rows.shape[1], code)
    draw = torch.Generator().manual_seed(seed)
    _rounds(torch, x, encoder, decoder, None, None, _ALONE, draw)

    centres = torch.nn.Parameter(torch.from_numpy(_first_centres(_codes(torch, encoder, x), k, seed)))
    for _ in range(_TOGETHER // _REFRESH):
        target = _sharpened(_soft(torch.from_numpy(_codes(torch, encoder, x)), centres.detach()))
        _rounds(torch, x, encoder, decoder, centres, target, _REFRESH, draw)
    return _soft(torch.from_numpy(_codes(torch, encoder, x)), centres.detach()).argmax(dim=1).numpy()


def _network(torch: Any, width: int, code: int) -> tuple[Any, Any]:
    """Encoder and decoder, mirror images."""
    nn = torch.nn
    half = _HIDDEN // 2
    encoder = nn.Sequential(
        nn.Dropout(_DROPOUT), nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, half), nn.ReLU(),
        nn.Linear(half, code),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(code, half), nn.ReLU(), nn.Linear(half, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, width)
    )
    return encoder, decoder


def _rounds(
    torch: Any, x: Any, encoder: Any, decoder: Any, centres: Any, target: Any, n_rounds: int, draw: Any
) -> None:
    """Train in place for some rounds: on reconstruction alone, or with the clustering loss where centres are given."""
    weights = [*encoder.parameters(), *decoder.parameters(), *([] if centres is None else [centres])]
    step = torch.optim.Adam(weights, lr=_RATE if centres is None else _RATE / 4)
    encoder.train()
    for _ in range(n_rounds):
        for batch in torch.randperm(len(x), generator=draw).split(_BATCH):
            codes = encoder(x[batch])
            loss = torch.nn.functional.mse_loss(decoder(codes), x[batch])
            if centres is not None:
                soft = _soft(codes, centres)
                gap = target[batch] * (target[batch].clamp_min(1e-12).log() - soft.clamp_min(1e-12).log())
                loss = loss + _CLUSTERING * gap.sum(dim=1).mean()
            step.zero_grad()
            loss.backward()
            step.step()


def _codes(torch: Any, encoder: Any, x: Any) -> Any:
    encoder.eval()
    with torch.no_grad():
        return encoder(x).numpy()


def _soft(codes: Any, centres: Any) -> Any:
    """(n, k) Student t with one degree of freedom, rows sum to 1 (DEC, equation 1)."""
    square = (codes[:, None, :] - centres[None, :, :]).square().sum(dim=2)
    kernel = 1.0 / (1.0 + square)
    return kernel / kernel.sum(dim=1, keepdim=True)


def _sharpened(soft: Any) -> Any:
    """The target of DEC, equation 3: squares, by the size of the cluster so that large ones don't take over."""
    square = soft.square() / soft.sum(dim=0)
    return square / square.sum(dim=1, keepdim=True)


def _first_centres(codes: Floats, k: int, seed: int) -> FloatArray:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(k, n_init=16, random_state=seed).fit(codes).cluster_centers_, np.float32)
