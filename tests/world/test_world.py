"""The made-up market: same bytes, the stated sizes, and a truth that its own log bears out."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.errors import ConfigError, OutputError
from penchant.io.world import START, World, make_world, write_world
from penchant.io.world.events import ACTIONS
from penchant.io.world.lexicon import GroupedDraw, load_lexicon
from penchant.io.world.media import media_lexicon
from penchant.io.world.noise import LEVELS
from penchant.io.world.users import touch_probability
from penchant.io.world.word_model import word_distribution

SMALL = {"n_users": 120, "n_items": 300, "n_days": 60, "n_events": 6000}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(**SMALL, seed=3)


@pytest.fixture(scope="module")
def default_world() -> World:
    return make_world(seed=5)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from penchant.io.world import make_world, write_world; settings = dict(n_users=120, n_items=300); "
        "write_world(make_world(n_days=60, n_events=6000, language='mixed', seed=3, **settings), sys.argv[1])"
    )
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(digests(tmp_path / "a")) == 4 + 9


def test_another_seed_is_another_market(world: World) -> None:
    assert not make_world(**SMALL, seed=4).events.equals(world.events)


def test_tables_have_the_promised_columns(world: World) -> None:
    assert world.events.schema == {
        "user_id": pl.String,
        "item_id": pl.String,
        "action": pl.String,
        "timestamp": pl.Int64,
        "value": pl.Float32,
        "text": pl.String,
        "session_id": pl.String,
    }
    assert world.items.columns == ["item_id", "title", "text", "categories", "domain", "price"]
    assert world.users["user_id"].n_unique() == SMALL["n_users"]
    assert sorted(world.truth) == [
        "bots",
        "interests",
        "items",
        "new_items",
        "new_users",
        "noise",
        "segments",
        "shared_accounts",
        "user_interests",
    ]


@pytest.mark.parametrize("language", ["en", "zh", "mixed"])
@pytest.mark.parametrize("level", ["easy", "middle", "hard"])
def test_every_language_and_level_gives_the_stated_sizes(language: str, level: str) -> None:
    world = make_world(n_users=40, n_items=60, n_days=30, n_events=1000, language=language, level=level)  # type: ignore[arg-type]
    assert world.events.height == 1000
    assert world.items.height == 60
    chinese = world.items["title"].drop_nulls().str.contains(r"\p{Han}").mean()
    assert {"en": chinese == 0, "zh": chinese == 1, "mixed": 0 < chinese < 1}[language]


def test_the_log_is_sorted_and_inside_its_days(world: World) -> None:
    time = world.events["timestamp"]
    assert time.is_sorted()
    assert START <= time[0] <= time[-1] < START + SMALL["n_days"] * 86_400


def test_actions_carry_what_they_should(world: World) -> None:
    events = world.events
    assert set(events["action"]) == set(ACTIONS)
    stars = events.filter(pl.col("action") == "rate")["value"]
    assert stars.null_count() == 0
    assert set(stars.to_list()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    searches = events.filter(pl.col("action") == "search")
    assert searches["item_id"].null_count() == searches.height
    assert searches["text"].null_count() == 0
    assert events.filter(pl.col("action") == "view")["text"].null_count() == (events["action"] == "view").sum()
    nothing = events.filter(pl.col("item_id").is_null() & pl.col("text").is_null())
    assert nothing.height == 0


def test_sessions_belong_to_one_user(world: World) -> None:
    assert world.events.group_by("session_id").agg(pl.col("user_id").n_unique())["user_id"].max() == 1


def test_items_are_not_sold_before_their_week_of_launch(default_world: World) -> None:
    joined = default_world.events.join(default_world.truth["items"], on="item_id")
    week = (joined["timestamp"] - START) // (7 * 86_400)
    # An event that returns to an earlier item can only be later, so this holds for all.
    assert (week >= joined["launch_day"] // 7).all()


def test_given_categories_do_not_tell_the_interest(default_world: World) -> None:
    joined = default_world.items.select("item_id", "domain", pl.col("categories").list.join("|").alias("label")).join(
        default_world.truth["items"].select("item_id", "interest_id"), on="item_id"
    )
    best = joined.group_by("label", "interest_id").len().group_by("label").agg(pl.col("len").max())["len"].sum()
    assert best / joined.height < 0.35


def test_roles_agree_with_true_chances(default_world: World) -> None:
    steady = default_world.truth["user_interests"].filter(
        (pl.col("drift") == "steady") & pl.col("role").is_in(["core", "secondary", "peripheral"])
    )
    assert (steady["role"] == steady["layer"]).mean() > 0.95
    for layer, low, high in (("core", 0.5, 1.0), ("secondary", 0.15, 0.5), ("peripheral", 0.0, 0.15)):
        chance = default_world.truth["user_interests"].filter(pl.col("layer") == layer)["probability"]
        assert chance.is_between(low, high).all()


def test_touch_probability_agrees_with_a_simulation() -> None:
    rng = np.random.default_rng(0)
    rate, stickiness, n = 0.07, 0.35, 60_000
    on = rng.random((n, 10)) < rate
    sticks = rng.random((n, 10)) < stickiness
    now, touched = on[:, 0], on[:, 0].copy()
    for step in range(1, 10):
        now = np.where(sticks[:, step], now, on[:, step])
        touched |= now
    assert touched.mean() == pytest.approx(float(touch_probability(np.array(rate), stickiness)), abs=0.008)


def test_true_chances_are_borne_out_by_the_log(default_world: World) -> None:
    """Of steady interests, windows of ten own events touch one as often as the truth says (searches left out)."""
    truth = default_world.truth
    steady = truth["user_interests"].group_by("user_id").agg(calm=(pl.col("drift") == "steady").all())
    human = steady.filter("calm").select("user_id")
    seen = (
        default_world.events.join(human, on="user_id")
        .join(truth["items"].select("item_id", "interest_id"), on="item_id", maintain_order="left")
        .with_columns(window=pl.int_range(pl.len()).over("user_id") // 10)
        .with_columns(n=pl.len().over("user_id", "window"))
        .filter(pl.col("n") == 10)
    )
    windows = seen.group_by("user_id").agg(n_windows=pl.col("window").n_unique())
    touched = seen.group_by("user_id", "interest_id").agg(n_touched=pl.col("window").n_unique())
    points = (
        truth["user_interests"]
        .join(windows, on="user_id")
        .join(touched, on=["user_id", "interest_id"], how="left")
        .with_columns(pl.col("n_touched").fill_null(0))
    )
    for layer in ("core", "secondary", "peripheral"):
        part = points.filter((pl.col("layer") == layer) & (pl.col("role") != "aversion"))
        said = (part["probability"] * part["n_windows"]).sum() / part["n_windows"].sum()
        found = part["n_touched"].sum() / part["n_windows"].sum()
        assert found == pytest.approx(said, abs=0.03), layer


def test_aversions_bring_low_stars_and_hides(default_world: World) -> None:
    averse = default_world.truth["user_interests"].filter(pl.col("role") == "aversion")
    seen = default_world.events.join(default_world.truth["items"], on="item_id").join(
        averse.select("user_id", "interest_id"), on=["user_id", "interest_id"]
    )
    rated = seen.filter(pl.col("action") == "rate")["value"].mean()
    others = default_world.events.filter(pl.col("action") == "rate")["value"].mean()
    assert isinstance(rated, float)
    assert isinstance(others, float)
    assert rated < others - 1
    assert seen.filter(pl.col("action") == "hide").height > 0


def test_bots_are_busy_and_have_no_segment(default_world: World) -> None:
    counts = default_world.events.group_by("user_id").len()
    bots = default_world.truth["bots"].join(counts, on="user_id")
    assert (bots["n_events"] == bots["len"]).all()
    assert bots["len"].median() > 5 * counts["len"].median()  # type: ignore[operator]
    assert bots.join(default_world.truth["segments"], on="user_id").height == 0


def test_stated_noise_is_in_the_data(default_world: World) -> None:
    noise, items = LEVELS["middle"], default_world.items
    assert items["text"].null_count() / items.height == pytest.approx(noise.no_description, abs=0.03)
    assert default_world.truth["items"]["vague"].mean() == pytest.approx(noise.vague_item, abs=0.03)
    assert (items["domain"] != default_world.truth["items"]["domain"]).mean() == pytest.approx(
        noise.wrong_category, abs=0.03
    )


def test_lexicon_is_whole() -> None:
    lexicon = load_lexicon()
    assert len(set(lexicon.interest_ids)) == 72
    assert np.bincount(lexicon.domain_of).tolist() == [6] * 12
    for language in ("en", "zh"):
        assert all(len(words) >= 15 for words in lexicon.words[language])
        assert all(len(words) >= 10 for words in lexicon.domain_words[language])
        words = [w for group in lexicon.words[language] for w in group]
        assert len(words) - len(set(words)) >= 50, "words with more than one meaning are on purpose"
    # The first word is an interest's own: no other interest of the market starts with it.
    assert len({words[0] for words in lexicon.words["en"]}) == 72
    few = lexicon.take(12)
    assert len(set(few.domain_of.tolist())) == 12


def test_word_chances_leave_out_only_fillers() -> None:
    noise = LEVELS["middle"]
    vocabulary, chance = word_distribution(load_lexicon(), noise, "zh")
    said = noise.own_word + noise.sibling_word + noise.domain_word + noise.stray_word
    assert chance.shape == (72, len(vocabulary))
    assert np.allclose(chance.sum(axis=1), said)


def test_grouped_draw_keeps_to_weights_and_says_none() -> None:
    draw = GroupedDraw(np.array([0, 0, 2]), np.array([1.0, 3.0, 5.0]), 3)
    u = (np.arange(1000) + 0.5) / 1000
    got = draw.draw(np.zeros(1000, np.int64), u)
    assert np.bincount(got).tolist() == [250, 750]
    assert draw.draw(np.array([1, 2]), np.array([0.3, 0.999])).tolist() == [-1, 2]


def test_writing_replaces_a_market_and_nothing_else(world: World, tmp_path: Path) -> None:
    out = write_world(world, tmp_path / "market")
    first = digests(out)
    assert digests(write_world(world, out)) == first
    assert [p.name for p in tmp_path.iterdir()] == ["market"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'notes.txt', which is no part of a made-up market"):
        write_world(world, out)
    assert (out / "notes.txt").read_text() == "mine"
    with pytest.raises(OutputError, match="is a file"):
        write_world(world, out / "notes.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_users": 3}, "n_users must be at least 10. Got 3"),
        ({"n_items": 5}, "n_items must be at least 20. Got 5"),
        ({"n_days": 2}, "n_days must be at least 14. Got 2"),
        ({"n_users": 50, "n_events": 10}, "n_events must be at least 50. Got 10"),
        ({"seed": -1}, "seed must be at least 0. Got -1"),
        ({"language": "fr"}, "unknown language 'fr'; allowed: en, mixed, zh"),
        ({"level": "midle"}, "unknown level 'midle'; did you mean 'middle'?"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        make_world(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_users", [10, 40])
def test_the_smallest_markets_work(n_users: int) -> None:
    world = make_world(n_users=n_users, n_items=20, n_days=14, n_events=n_users)
    assert world.events.height == n_users
    assert world.truth["interests"].height == 6


def test_two_domains_share_interests_users_and_some_words() -> None:
    two = make_world(n_users=200, n_items=300, n_days=60, seed=3, overlap=0.4)
    items = two.items.select("item_id", "domain").join(
        two.truth["items"].select("item_id", "interest_id"), on="item_id"
    )
    by_interest = items.group_by("interest_id").agg(pl.col("domain").n_unique())
    assert set(items["domain"]) == {"books", "films"}
    assert (by_interest["domain"] == 2).all()
    share = two.events.join(items, on="item_id").group_by("user_id").agg(books=(pl.col("domain") == "books").mean())
    both = share.filter(pl.col("books").is_between(0, 1, closed="none")).height / share.height
    assert 0.3 < both < 0.5
    assert two.events.height == 140 * 200
    words = media_lexicon(load_lexicon()).words["en"]
    shared = [len({*a} & {*b}) / len({*a} | {*b}) for a, b in zip(words[:72], words[72:], strict=True)]
    assert 0.25 < np.mean(shared) < 0.42
    with pytest.raises(ConfigError, match=r"overlap must be in 0\.\.1\. Got 2"):
        make_world(n_users=20, n_items=20, overlap=2.0)
