"""Next item, last one out: our representations and RecTools' SASRec and BERT4Rec, on the same split and candidates.

    python benchmarks/sasrec.py --data DIR [--rectools-python PATH] [--methods transformer,gru,...] [--epochs N]
        [--rates 0.001,0.003] [--peer-length N] [--set section.key=value ...]

DIR holds `events.parquet` (and `items.parquet`), e.g. MovieLens 1M. Ratings below 4 are left out; of every user the
last liked event is the target and everything before it is trained on. All items of the training log are ranked in
full, those the user had are left out, and users whose target nobody else had are too.

RecTools needs numpy < 2 and so an environment of its own:
    python -m venv rectools && rectools/bin/pip install torch "numpy<2" "pandas<3" "rectools[torch]"
`penchant.rivals.rectools_worker` runs there, as for the peers sasrec and bert4rec. Its models get the sizes of ours
(dimensions, blocks, heads, dropout) and `batch_size` users a step. As ours, they choose inside the training log: each
learning rate of --rates is run for up to N epochs with the last item of each user held out and stopped when its loss
has not fallen for `patience` epochs; the best rate is then fitted anew on all training events for as many epochs as
were best. (Ours chooses the round alone, by NDCG@10.)

What is not alike: RecTools trains on the last `max_length` events of a user (--peer-length sets another number), ours
on all (`represent.max_history`), cut in windows of that length; both read the last `max_length` to foretell. With
--set represent.max_history=51 ours trains on as many as they do. All run on the CPU; minutes are of fitting, the choice
of rate and epochs with it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

    from penchant.data import Events

K = 20
PEERS = ("SASRec", "BERT4Rec")
OURS = "transformer,gru,convolution,autoencoder,variational,factors,mean"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--rectools-python", type=Path, help="without it only ours run")
    ask.add_argument("--peers", default=",".join(PEERS), help="of RecTools, by comma")
    ask.add_argument("--methods", default=OURS, help="of ours, by comma")
    ask.add_argument("--epochs", type=int, default=60)
    ask.add_argument("--rates", default="0.001,0.003", help="learning rates the peers choose among")
    ask.add_argument("--peer-length", type=int, help="events that the peers read (default: neural.max_length)")
    ask.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    asked = ask.parse_args()

    from penchant.config import RunOptions, load_config
    from penchant.io import read_log
    from penchant.represent import make_representation
    from penchant.rivals.rectools import run_worker
    from penchant.scorers import build_scorer

    config = load_config(None, ["io.min_value=4", *asked.overrides])
    items = asked.data / "items.parquet"
    log = read_log(asked.data / "events.parquet", items if items.is_file() else None, config=config.io)
    train, test = last_out(log.events)
    n_items = len(log.items)
    seen, target = train.matrix(n_items, binary=True), test.matrix(n_items, binary=True)
    known = np.bincount(train.item_row, minlength=n_items) > 0
    target = fair_targets(target, seen, known)
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    print(f"{len(train):,} events, {known.sum():,} items, {len(users):,} users with a last item to foretell")

    def tell(name: str, lists: np.ndarray[Any, Any], minutes: float, note: str = "") -> None:
        from penchant.evaluate.ranking import score_lists

        ndcg = score_lists(lists[:, :10], target, users)["ndcg@10"].mean()
        recall = score_lists(lists, target, users)[f"recall@{K}"].mean()
        print(f"{name:<24} NDCG@10 {ndcg:.4f}  recall@{K} {recall:.4f}  {minutes:6.1f} min  {note}", flush=True)

    popular = build_scorer("popular")
    popular.fit(train, n_items)
    tell("popularity", rank(lambda rows: popular.score(rows, seen), seen, users, known), 0.0)
    for method in filter(None, asked.methods.split(",")):
        made = make_representation(method, config.represent, RunOptions(), seed=config.seed)
        start = time.perf_counter()
        made.fit(train, log.items, None)
        minutes = (time.perf_counter() - start) / 60
        vectors = made.user_vectors(train)
        lists = rank(lambda rows, v=vectors, m=made: v[rows] @ m.item_vectors.T, seen, users, known)
        tell(f"penchant {method}", lists, minutes, f"{made.name}; rounds {made.facts.get('n_rounds', '-')}")
    if asked.rectools_python is not None:
        neural = config.represent.neural.model_dump() | {"epochs": asked.epochs, "seed": config.seed}
        neural |= {"rates": [float(rate) for rate in asked.rates.split(",")]}
        neural |= {"max_length": asked.peer_length or neural["max_length"]}
        for peer in asked.peers.split(","):
            answer = run_worker(asked.rectools_python, peer, train, users, neural, K)
            tried = "; ".join(f"rate {r}: loss {loss:.3f}, {n} epochs" for loss, r, n in answer.about["tried"])
            chosen = f"{tried}; taken: {answer.about['rate']}"
            tell(f"RecTools {peer}", answer.lists, answer.about["minutes"], chosen)


def last_out(events: Events) -> tuple[Events, Events]:
    """All liked events but each user's last, and those last ones (of users with two or more)."""
    liked = events.positive()
    last = (liked.own_index == liked.n_by_user[liked.user_row] - 1) & (liked.n_by_user[liked.user_row] >= 2)
    return liked.take(~last), liked.take(last)


def fair_targets(target: sp.csr_array, seen: sp.csr_array, known: np.ndarray[Any, Any]) -> sp.csr_array:
    """Targets that somebody had in training and the user had not."""
    import scipy.sparse as sp

    out = sp.csr_array(target - target.multiply(seen))
    out.data *= known[out.indices]
    out.eliminate_zeros()
    out.sort_indices()
    return out


def rank(score: Any, seen: sp.csr_array, users: np.ndarray[Any, Any], known: np.ndarray[Any, Any]) -> Any:
    """(n, K) best items of each user, of those known and not yet had."""
    from penchant.scorers import top_items

    blocks = []
    for start in range(0, len(users), 1000):
        rows = users[start : start + 1000]
        scores = np.array(score(rows), np.float32)
        scores[:, ~known] = -np.inf
        blocks.append(top_items(scores, K, seen[rows]))
    return np.concatenate(blocks)


if __name__ == "__main__":
    main()
