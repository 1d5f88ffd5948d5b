"""From books to films that share no user, only words: do readers get the films of books they go on to like?

    python benchmarks/adaptations.py --data DIR [--films ml_latest_small] [--out DIR]

DIR holds one folder a log (see real_logs.py). goodbooks_sample and a log of films are laid side by side as one log of
two domains; no user is in both, so nobody's books can be held against the films they took. What can be asked instead: a
film of the same title as a book stands for that book. Each reader's books of the first four fifths are read, with
`--from books --to films`; asked for are the films of the books they newly liked after that, but for films of books they
had already, among all films of the log. The titles are compared without what stands in brackets (year, series).

This is a stand-in: it tells whether the lists know what a reader's next books are about, not whether they would watch.
Some pairs of one title are different stories; that lowers every method alike.

penchant            `recommend(source=, allowed=)`, as `--from --to`
usual ranker        the same lists by the ranker that is learned on users who stay in their domain
popular, 7d, 30d    how many liked the film: ever, in the last 7 and 30 days (7/365 and 30/365 of the events)
texts               cosine to the mean text of the books they liked
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from domains import Way, scores_of
from new_items import TEST_SHARE, table
from penchant.config import RunOptions, build_config
from penchant.data import Log
from penchant.io import read_log
from penchant.pipeline import lay_ground, train_recommender

BOOKS = "goodbooks_sample"
START, YEAR = 1_577_836_800, 365 * 86_400  # seconds: 2020
SETTINGS = {"io": {"min_value": 4}}


def bare(title: str) -> str:
    """A title without brackets, articles and marks.

    >>> bare("Harry Potter and the Chamber of Secrets (Harry Potter, #2)")
    'harry potter and the chamber of secrets'
    >>> bare("Shining, The (1980)")
    'shining'
    """
    plain = re.sub(r"\(.*?\)|\[.*?\]", " ", title).strip()
    plain = re.sub(r"^(.*), (?:The|An|A)$", r"\1", plain).lower()
    return " ".join(re.sub(r"^(the|an|a) ", "", re.sub(r"[^a-z0-9 ]", "", plain)).split())


def side(data: Path, name: str, domain: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events, laid evenly over one year in their order, and catalogue of one log; ids are marked with the domain."""
    raw = pl.read_parquet(data / name / "events.parquet")
    order = "seq" if "seq" in raw.columns else "timestamp"
    raw = raw.filter(pl.col("action") != "tag").sort(order, maintain_order=True)
    ids = [pl.format("{}:{}", pl.lit(domain), pl.col(c)).alias(c) for c in ("user_id", "item_id")]
    when = START + pl.int_range(pl.len(), dtype=pl.Int64) * YEAR // pl.len()
    items = pl.read_parquet(data / name / "items.parquet")
    return (
        raw.select(*ids, "action", pl.col("value").cast(pl.Float64), when.alias("timestamp")),
        items.select(ids[1], "title", "text", domain=pl.lit(domain)),
    )


def make_task(log: Log) -> tuple[Way, int]:
    """Readers, and the films of the books they newly liked after the cut; how many films stand for a book."""
    n, cut = len(log.items), log.events.cut_at(1 - TEST_SHARE)
    before, after = log.events.before(cut), log.events.take(log.events.time >= cut)
    domain = log.items.table["domain"].to_numpy()
    titles = [bare(title or "") for title in log.items.table["title"]]
    films: dict[str, list[int]] = {}
    for row in np.flatnonzero(domain == "films"):
        films.setdefault(titles[row], []).append(row)
    pairs = np.array([(b, f) for b in np.flatnonzero(domain == "books") if titles[b] for f in films.get(titles[b], ())])
    film_of = sp.csr_array((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    liked = before.matrix(n, binary=True)
    new = after.matrix(n, binary=True)
    target = sp.csr_array((new @ film_of) > 0, dtype=np.float32)
    known = sp.csr_array((before.touched(n) @ film_of) > 0, dtype=np.float32)
    target = sp.csr_array(target - target.multiply(known))
    target.data *= np.repeat(np.diff(liked.indptr) > 0, np.diff(target.indptr))
    target.eliminate_zeros()
    target.sort_indices()
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    had = sp.csr_array(before.touched(n)[users])
    return Way("books -> films", domain == "books", domain == "films", users, target, had), len(np.unique(pairs[:, 1]))


def main() -> None:
    """One table."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--films", default="ml_latest_small")
    ask.add_argument("--out", type=Path, help="folder for text vectors")
    asked = ask.parse_args()
    pl.Config.set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True).set_tbl_width_chars(140)
    config, run = build_config(SETTINGS), RunOptions(progress=True, cache_dir=asked.out)
    sides = [side(asked.data, BOOKS, "books"), side(asked.data, asked.films, "films")]
    log = read_log(*(pl.concat([one[part] for one in sides]) for part in (0, 1)), None, config=config.io)
    way, n_films = make_task(log)
    train = log.events.before(log.events.cut_at(1 - TEST_SHARE))
    ground = lay_ground(train, log.items, config, run)
    fitted = train_recommender(train, log.items, ground, config, run)
    print(f"{len(way.users):,} readers, {way.target.nnz:,} films asked for; {n_films:,} films stand for a book")
    print(f"usually by {fitted.ranker.name}")
    print(table(scores_of(way, log, train, ground, fitted)))


if __name__ == "__main__":
    main()
