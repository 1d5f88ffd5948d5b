"""What plain methods and an oracle reach on the made-up market: `python benchmarks/plain_world.py`.

Plain: TF-IDF of item texts + k-means with the true number of interests; k-means on TF-IDF user rows with the true
number of segments. Oracle: knows the generator's word chances and segments, but sees only the log. The levels of noise
in `penchant.io.world.noise` are set by the plain rows of this table.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, confusion_matrix, v_measure_score
from sklearn.preprocessing import normalize

from penchant.io.world import World, make_world
from penchant.io.world.lexicon import load_lexicon
from penchant.io.world.noise import LEVELS
from penchant.io.world.truth import layer_f1
from penchant.io.world.users import layer_of
from penchant.io.world.word_model import word_distribution


def rows_of(values: pl.Series, keys: pl.Series) -> np.ndarray:
    """Row of each value in `keys` (-1: null)."""
    place = pl.DataFrame({"k": keys}).with_row_index("r")
    found = values.to_frame("k").join(place, on="k", how="left", maintain_order="left")["r"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()


def tokens(text: str) -> list[str]:
    import rjieba

    return [w for w in rjieba.cut(text.lower()) if len(w) > 1]


def vectorise(texts: list[str], language: str) -> sp.csr_matrix:
    if language == "en":
        return TfidfVectorizer(stop_words="english", min_df=2).fit_transform(texts)
    return TfidfVectorizer(tokenizer=tokens, token_pattern=None, min_df=2).fit_transform(texts)


def kmeans(rows: object, k: int, seed: int) -> np.ndarray:
    return KMeans(k, n_init=10, random_state=seed).fit_predict(rows)


class View:
    """A world as arrays, with the truth beside."""

    def __init__(self, world: World) -> None:
        self.world, self.truth = world, world.truth
        self.interests = self.truth["interests"]["interest_id"]
        self.k = len(self.interests)
        self.item_interest = rows_of(self.truth["items"]["interest_id"], self.interests)
        self.users = world.users["user_id"]
        seen = world.events.filter(pl.col("item_id").is_not_null())
        self.user, self.item = rows_of(seen["user_id"], self.users), rows_of(seen["item_id"], world.items["item_id"])
        self.time = seen["timestamp"].to_numpy()
        shape = (len(self.users), world.items.height)
        self.matrix = sp.csr_matrix((np.ones(len(self.user)), (self.user, self.item)), shape=shape)
        self.segment = np.full(len(self.users), -1)
        member = rows_of(self.truth["segments"]["user_id"], self.users)
        self.segment[member] = self.truth["segments"]["segment_id"].str.slice(1).cast(pl.Int64).to_numpy()
        self.judged = self.segment >= 0
        onto = (np.arange(world.items.height), self.item_interest)
        lift = sp.csr_matrix((np.ones(world.items.height), onto), shape=(world.items.height, self.k))
        self.counts = np.asarray((self.matrix @ lift).todense())
        self.chance = np.tile(self.truth["interests"]["base_probability"].to_numpy(), (len(self.users), 1))
        planted = self.truth["user_interests"]
        where = rows_of(planted["user_id"], self.users), rows_of(planted["interest_id"], self.interests)
        self.chance[where] = planted["probability"].to_numpy()

    def texts(self, *fields: str) -> list[str]:
        parts = [
            pl.col(f).list.join(" ") if f == "categories" else pl.col(f).fill_null("")
            for f in ("title", "text", *fields)
        ]
        return self.world.items.select(pl.concat_str(parts, separator=" ")).to_series().to_list()


def fused(view: View, plain: sp.csr_matrix) -> np.ndarray:
    """(items, 192) reduced words beside reduced co-consumption: how far the two go together without any finesse."""
    text = normalize(TruncatedSVD(128, random_state=0).fit_transform(plain))
    log = view.matrix[view.judged & (np.diff(view.matrix.indptr) > 0)]
    log.data = np.log1p(log.data)
    svd = TruncatedSVD(64, random_state=0).fit(normalize(log))
    return np.hstack([text, normalize(svd.components_.T * np.sqrt(svd.singular_values_))])


def oracle_words(view: View) -> np.ndarray:
    """(items, interests) log chance of each item's words under each interest's true chances."""
    settings = view.world.settings
    noise, lexicon = LEVELS[settings["level"]], load_lexicon().take(view.k)
    vocabulary, chance = word_distribution(lexicon, noise, settings["language"])
    pattern = r"(?u)\b\w+\b" if settings["language"] == "en" else "|".join(sorted(vocabulary, key=lambda w: -len(w)))
    counts = CountVectorizer(vocabulary=vocabulary, token_pattern=pattern).transform(view.texts())
    return np.asarray(counts @ np.log(chance + 1e-6).T)


def oracle_behaviour(view: View) -> np.ndarray:
    """(items, interests) log chance of who came to each item, by each user's planted roles.

    Built from what was planted and not from the items a user touched: those would tell the answer.
    """
    part = {"core": 0.22, "secondary": 0.053, "peripheral": 0.008, "aversion": 0.008}  # usual shares of a role
    planted = view.truth["user_interests"]
    mix = np.full((len(view.users), view.k), LEVELS[view.world.settings["level"]].exploration / view.k)
    where = rows_of(planted["user_id"], view.users), rows_of(planted["interest_id"], view.interests)
    mix[where] += planted["role"].replace_strict(part, return_dtype=pl.Float64).to_numpy()
    mix /= mix.sum(axis=1, keepdims=True)
    return np.asarray(view.matrix.T @ np.log(mix / mix.mean(axis=0)))


def saturated(view: View) -> np.ndarray:
    """(users, interests) how surely a user holds an interest: 1 from 4 % of the events up."""
    share = view.counts / np.maximum(view.counts.sum(axis=1, keepdims=True), 1)
    return np.minimum(share / 0.04, 1.0)


def oracle_segments(view: View) -> np.ndarray:
    """Segment under which a user's set of interests is the most likely, by the true habits and sizes of segments."""
    planted = view.truth["user_interests"].filter(pl.col("role").is_in(["core", "secondary"]))
    user, interest = rows_of(planted["user_id"], view.users), rows_of(planted["interest_id"], view.interests)
    size = np.bincount(view.segment[view.judged])
    habit = np.full((len(size), view.k), 0.5)
    np.add.at(habit, (view.segment[user], interest), 1.0)
    habit /= size[:, None] + 1
    held = saturated(view)
    chance = held @ np.log(habit).T + (1 - held) @ np.log(1 - habit).T
    return (chance + np.log(size / size.sum())).argmax(axis=1)


def layer_points(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Features of every observed (user, interest) and its true layer."""
    interest = view.item_interest[view.item]
    key = view.user * view.k + interest
    end = view.time.max()
    order = np.lexsort((-view.time, view.user))
    position = np.empty(len(order))
    starts = np.r_[True, view.user[order][1:] != view.user[order][:-1]]
    position[order] = np.arange(len(order)) - np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    points, row = np.unique(key, return_inverse=True)
    age = (end - view.time) / 86_400
    total = np.bincount(view.user, minlength=len(view.users))
    columns = [np.bincount(row, weights=np.exp2(-age / h)) for h in (7, 20, 60, 1e9)]
    columns += [np.bincount(row, weights=np.exp2(-position / h)) for h in (5, 12, 30, 80)]
    owner = points // view.k
    columns += [c / total[owner] for c in columns[:4]] + [total[owner].astype(float)]
    last = np.full(len(points), np.inf)
    np.minimum.at(last, row, position)
    judged = view.judged[owner]
    features = np.column_stack([*columns, last])[judged]
    return features, layer_of(view.chance[owner, points % view.k])[judged]


def measure(level: str, seed: int, size: dict[str, int], language: str) -> dict[str, float]:
    view = View(make_world(language=language, level=level, seed=seed, **size))
    judged, n_segments = view.judged, int(view.segment.max()) + 1

    def leaves(labels: np.ndarray) -> float:
        return float(v_measure_score(view.item_interest, labels))

    def segments(labels: np.ndarray) -> float:
        return float(adjusted_rand_score(view.segment[judged], labels[judged]))

    out = {}
    plain = vectorise(view.texts(), language)
    out["leaves plain"] = leaves(kmeans(plain, view.k, seed))
    out["leaves plain + categories"] = leaves(kmeans(vectorise(view.texts("categories"), language), view.k, seed))
    out["leaves words + behaviour, k-means"] = leaves(
        kmeans(fused(view, vectorise(view.texts("categories"), language)), view.k, seed)
    )
    words, behaviour = oracle_words(view), oracle_behaviour(view)
    out["leaves oracle, words"] = leaves(words.argmax(axis=1))
    out["leaves oracle, words + behaviour"] = leaves((words + behaviour).argmax(axis=1))
    out["segments plain, items"] = segments(
        kmeans(normalize(TfidfTransformer().fit_transform(view.matrix)), n_segments, seed)
    )
    out["segments plain, words"] = segments(kmeans(normalize(view.matrix @ plain), n_segments, seed))
    out["segments true shares, k-means"] = segments(kmeans(normalize(view.counts), n_segments, seed))
    out["segments true sets, k-means"] = segments(kmeans(normalize(saturated(view)), n_segments, seed))
    out["segments oracle"] = segments(oracle_segments(view))
    # An oracle of layers: trained on three sister markets, it knows what the generator makes of a history.
    sisters = [
        layer_points(View(make_world(language=language, level=level, seed=seed + 1000 + i, **size))) for i in range(3)
    ]
    model = HistGradientBoostingClassifier(random_state=0, max_iter=150)
    model.fit(np.concatenate([x for x, _ in sisters]), np.concatenate([y for _, y in sisters]))
    features, layer = layer_points(view)
    out["layers oracle"] = layer_f1(confusion_matrix(layer, model.predict(features), labels=[0, 1, 2]))["macro_f1"]
    bands = np.where(features[:, 11] >= 0.1, 0, np.where(features[:, 11] >= 0.025, 1, 2))  # share of all own events
    out["layers plain, share bands"] = layer_f1(confusion_matrix(layer, bands, labels=[0, 1, 2]))["macro_f1"]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", nargs="+", default=["easy", "middle", "hard"])
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--language", choices=["en", "zh"], default="en")
    args = parser.parse_args()
    size = {"n_users": args.users, "n_items": args.items}
    for level in args.levels:
        runs = [measure(level, seed, size, args.language) for seed in args.seeds]
        print(f"\n{level} ({args.language}, {args.users} users, {args.items} items)")
        for name in runs[0]:
            scores = [run[name] for run in runs]
            print(f"  {name:36s} {np.mean(scores):.3f}   {' '.join(f'{s:.3f}' for s in scores)}", flush=True)


if __name__ == "__main__":
    main()
