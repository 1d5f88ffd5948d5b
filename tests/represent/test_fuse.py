"""Modalities side by side: weights given and learned, attributes as parts, and what must not leak into weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from penchant.config import RepresentConfig, build_config
from penchant.data import Events, Items, Vectors, unit_rows
from penchant.errors import ConfigError, DataError
from penchant.represent import represent
from penchant.represent.fuse import attribute_rows, fuse, item_parts, parts_of
from penchant.represent.fuse_weights import LearnedWeights, Part, fit_with_errors, learn_weights
from tests.represent.small_logs import RUN, events_of, items_of

N_GROUPS, N_PER_GROUP, N_DIMS = 8, 25, 32
N_ITEMS = N_GROUPS * N_PER_GROUP
GROUP = np.repeat(np.arange(N_GROUPS), N_PER_GROUP)


def log_of(n_users: int = 500, n_events: int = 20, lean: float = 0.8, seed: int = 0) -> Events:
    """Each user leans on two groups; popularity within a group follows Zipf's law."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), n_events)
    own = np.stack([np.arange(n_users) % N_GROUPS, rng.integers(0, N_GROUPS, n_users)], axis=1)
    group = np.where(
        rng.random(len(user)) < lean,
        own[user, rng.integers(0, 2, len(user))],
        rng.integers(0, N_GROUPS, len(user)),
    )
    chance = 1 / (np.arange(N_PER_GROUP) + 1)
    item = group * N_PER_GROUP + rng.choice(N_PER_GROUP, len(user), p=chance / chance.sum())
    order = rng.permutation(len(user))
    return events_of(user[order], item[order])


def clear(noise: float = 1.0, seed: int = 1, n_clear: int = N_GROUPS) -> np.ndarray:
    """Vectors that tell the first `n_clear` groups apart, and are noise for the others."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal((N_GROUPS, N_DIMS))
    direction[n_clear:] = 0
    return (direction[GROUP] + noise * rng.standard_normal((N_ITEMS, N_DIMS))).astype(np.float32)


def noise(seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((N_ITEMS, N_DIMS)).astype(np.float32)


def as_text(values: np.ndarray) -> Vectors:
    return Vectors(unit_rows(values), "texts")


def learned(events: Events, items: Items, text: Vectors | None, seed: int = 0, **settings: object) -> LearnedWeights:
    config = RepresentConfig.model_validate({"method": "mean", **settings})
    return learn_weights(events, lambda log: parts_of(text, None, items, config), len(items), seed=seed)


# ---- weights given


def test_weights_are_given_by_part_and_the_rest_have_their_defaults():
    items = items_of(N_ITEMS, image=noise(3), audio=noise(4))
    parts = parts_of(as_text(noise(5)), as_text(noise(6)), items, RepresentConfig(weights={"image": 0.5}))
    assert {p.name: p.weight for p in parts} == {"text": 1.0, "behaviour": 2.0, "audio": 1.0, "image": 0.5}
    fused = fuse(as_text(noise(5)), None, items, RepresentConfig(weights={"image": 0.5}), seed=0)
    assert fused.name == "0.4 texts + 0.4 audio + 0.2 image"
    image, audio = unit_rows(items.vectors["image"]), unit_rows(items.vectors["audio"])
    text = as_text(noise(5)).values
    expected = 0.4 * text @ text.T + 0.4 * audio @ audio.T + 0.2 * image @ image.T
    assert np.allclose(fused.values @ fused.values.T, expected, atol=1e-5)


def test_a_part_nobody_has_is_refused_by_the_nearest_name_before_any_training():
    items = items_of(N_ITEMS, image=noise())
    config = RepresentConfig(weights={"imgae": 1.0}, method="factors")
    with pytest.raises(ConfigError, match=r"represent.weights: the items have no part 'imgae'; did you mean 'image'\?"):
        represent(log_of(20), items, None, config, RUN, seed=0)


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", '"much"'])
def test_weights_are_numbers_of_0_or_more(weight: str):
    with pytest.raises(ConfigError, match=r"represent\.weights\.image"):
        build_config({"represent": {"weights": {"image": float(weight) if '"' not in weight else weight}}})


def test_a_column_with_the_name_of_another_part_is_refused():
    with pytest.raises(DataError, match="vector column 'behaviour' has the name of another part"):
        item_parts(items_of(N_ITEMS, behaviour=noise()), RepresentConfig())


def test_a_missing_modality_is_guessed_from_the_others():
    image = clear(noise=0.3)
    image[::5] = 0
    text = as_text(clear(noise=0.3, seed=9))
    fused = fuse(text, None, items_of(N_ITEMS, image=image), RepresentConfig(), seed=0).values
    likeness = fused[::5] @ fused.T
    likeness[np.arange(len(likeness)), np.arange(0, N_ITEMS, 5)] = -9
    assert (GROUP[likeness.argmax(axis=1)] == GROUP[::5]).mean() > 0.95


# ---- weights learned


def test_a_part_that_separates_gets_weight_and_noise_gets_nearly_nothing():
    shares = [
        learned(log_of(seed=s), items_of(N_ITEMS, image=clear(), noise=noise()), None, seed=s).shares for s in range(3)
    ]
    assert min(s["image"] for s in shares) > 0.97
    assert max(s["noise"] for s in shares) < 0.03


def test_two_parts_that_each_tell_one_half_share_the_weight():
    half, other = clear(n_clear=4), clear(seed=5)
    other[GROUP < 4] = noise(7)[GROUP < 4]
    shares = learned(log_of(), items_of(N_ITEMS, image=half, audio=other), None).shares
    assert 0.3 < shares["image"] < 0.7


def test_popularity_is_no_likeness():
    """A column that says how popular an item is foretells next items well, and tells nothing of a user."""
    events = log_of(lean=0.0)
    count = np.bincount(events.item_row, minlength=N_ITEMS)
    popular = np.stack([np.log1p(count), np.ones(N_ITEMS)], axis=1).astype(np.float32)
    found = learned(events, items_of(N_ITEMS, popular=popular, noise=noise()), None)
    assert all(found.coefficients[name] <= 3 * found.errors[name] for name in found.coefficients)


def test_missing_rows_are_no_likeness_either():
    """Users of half of the groups, whose items have an (empty of meaning) image, the others none."""
    lopsided = np.where(GROUP[:, None] % 2 == 0, noise() + 3, 0).astype(np.float32)  # all images are near each other
    shares = learned(log_of(), items_of(N_ITEMS, image=lopsided, audio=clear()), None).shares
    assert shares["image"] < 0.05


def test_behaviour_is_fitted_on_the_past_of_the_window_alone():
    """On a log of pure chance behaviour foretells nothing; fitted on the whole log it would know the answers."""
    rng = np.random.default_rng(0)
    events = events_of(np.repeat(np.arange(400), 8)[rng.permutation(3200)], rng.integers(0, N_ITEMS, 3200))
    items, seen = items_of(N_ITEMS, image=noise()), []
    config = RepresentConfig(n_factors=32, regularization=0.1)

    def past(log: Events) -> list[Part]:
        seen.append(log)
        fitted = represent(log, items, None, config, RUN, seed=0)[0].behaviour
        return parts_of(None, fitted, items, config)

    honest = learn_weights(events, past, N_ITEMS, seed=0)
    leaky = learn_weights(events, lambda _: past(events), N_ITEMS, seed=0)
    assert len(seen[0]) <= 0.9 * len(events)
    assert leaky.coefficients["behaviour"] > 5 * leaky.errors["behaviour"]  # the trap is real ...
    assert honest.shares.get("behaviour", 0.0) < 0.5  # ... and not ours
    assert honest.coefficients["behaviour"] < 3 * honest.errors["behaviour"]


def test_represent_learns_and_its_name_tells_the_weights():
    events, items = log_of(), items_of(N_ITEMS, image=clear(), noise=noise())
    config = RepresentConfig(fuse_weights="learned", n_factors=16)
    name = represent(events, items, as_text(noise(8)), config, RUN, seed=0)[0].fused.name
    assert "weights learned from" in name
    assert "image" in name.split(";")[0]
    assert "noise 0" in name.split(";")[1]


def test_an_item_known_by_a_part_without_weight_alone_is_not_lost():
    image, text = clear(noise=0.3), as_text(clear(seed=6, n_clear=0))
    image[::5] = 0
    items = items_of(N_ITEMS, image=image)
    found = LearnedWeights({"text": 0.0, "image": 1.0}, {}, {}, 500)
    fused = fuse(text, None, items, RepresentConfig(), seed=0, learned=found)
    assert fused.name == "image; weights learned from 500 next items, text 0"
    assert fused.present.all()
    assert np.allclose(np.linalg.norm(fused.values, axis=1), 1, atol=1e-5)


def test_a_weight_of_zero_stays_zero():
    items = items_of(N_ITEMS, image=clear(), noise=noise())
    config = RepresentConfig(fuse_weights="learned", method="mean", weights={"image": 0})
    space, _ = represent(log_of(), items, as_text(clear(seed=6)), config, RUN, seed=0)
    assert "image" not in space.fused.name


def test_with_too_little_to_go_by_weights_stay_as_given_and_the_name_says_so():
    items = items_of(N_ITEMS, image=clear())
    config = RepresentConfig(fuse_weights="learned", method="mean")
    space, _ = represent(log_of(12), items, as_text(clear(seed=6)), config, RUN, seed=0)
    assert "0.5 texts + 0.5 image; weights as given, none learned from" in space.fused.name
    assert "(too few)" in space.fused.name
    empty = events_of(np.zeros(0), np.zeros(0))
    assert "(too few)" in represent(empty, items, as_text(clear(seed=6)), config, RUN, seed=0)[0].fused.name
    nothing = items_of(N_ITEMS, image=np.ones((N_ITEMS, 2), np.float32))
    same = Vectors(unit_rows(np.ones((N_ITEMS, 2))), "texts")
    assert "(no part foretells them)" in represent(log_of(), nothing, same, config, RUN, seed=0)[0].fused.name


def test_coefficients_are_those_that_made_the_data():
    rng = np.random.default_rng(0)
    gain = rng.standard_normal((40_000, 3)) * [0.1, 1.0, 0.01]
    flip = rng.random(len(gain)) > 1 / (1 + np.exp(-(gain @ [8.0, 0.5, 0.0])))
    found, error = fit_with_errors(
        np.where(flip[:, None], -gain, gain), rng.integers(0, 10, len(gain)).astype(np.int32)
    )
    assert np.abs(found - [8.0, 0.5, 0.0])[:2] == pytest.approx([0, 0], abs=0.25)
    assert (np.abs(found[:2] - [8.0, 0.5]) < 4 * error[:2] + 0.05).all()


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_inputs_stay():
    code = "from tests.represent.test_fuse import digest\nprint(digest())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip()
    assert digest() == other


def digest() -> str:
    events, items, text = log_of(200), items_of(N_ITEMS, image=clear(), noise=noise()), as_text(clear(seed=6))
    before = events.table.clone(), items.vectors["image"].copy(), text.values.copy()
    config = RepresentConfig(fuse_weights="learned", n_factors=8)
    fused = represent(events, items, text, config, RUN, seed=3)[0].fused
    assert events.table.equals(before[0])
    assert np.array_equal(items.vectors["image"], before[1])
    assert np.array_equal(text.values, before[2])
    return hashlib.sha256(fused.values.tobytes() + fused.name.encode()).hexdigest()


# ---- attributes


def test_numbers_lie_by_rank_and_ties_share_one():
    table = pl.DataFrame({"price": [1, 1, 2, 10_000, None]})
    rows = attribute_rows(table, "price")
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 1, 0])
    assert np.allclose(rows[0], rows[1])
    likeness = rows @ rows[0]
    assert likeness[0] > likeness[2] > likeness[3] == pytest.approx(0, abs=1e-6)
    assert np.allclose(attribute_rows(table * 100, "price"), rows)


@pytest.mark.parametrize(
    ("values", "same", "other"),
    [
        (["a", "a", "b", " ", None], 1.0, 0.0),
        ([True, True, False, None, None], 1.0, 0.0),
        ([["a", "b"], ["b", "a"], ["c"], [], None], 1.0, 0.0),
    ],
)
def test_words_truth_values_and_lists(values: list[object], same: float, other: float):
    rows = attribute_rows(pl.DataFrame({"brand": values}), "brand")
    assert rows[0] @ rows[1] == pytest.approx(same)
    assert rows[0] @ rows[2] == pytest.approx(other)
    assert not rows[3:].any()


def test_attributes_that_cannot_be_a_part_say_why():
    many = pl.DataFrame({"name": [f"n{i}" for i in range(500)]})
    with pytest.raises(DataError, match="'name' of the items has 500 different values; at most 200"):
        attribute_rows(many, "name")
    with pytest.raises(ConfigError, match="'nmae' of the items does not exist; did you mean 'name'"):
        attribute_rows(many, "nmae")
    with pytest.raises(DataError, match=r"holds List\(Int64\); give numbers"):
        attribute_rows(pl.DataFrame({"ids": [[1, 2], [3]]}), "ids")


def test_an_attribute_joins_by_its_name_and_an_empty_one_leaves_no_mark():
    items = items_of(N_ITEMS)
    brand = pl.Series("brand", [f"b{g}" for g in GROUP])
    table = items.table.with_columns(brand, pl.lit(None, pl.String).alias("colour"))
    config = RepresentConfig(attributes=("brand", "colour"), weights={"brand": 3.0})
    fused = fuse(as_text(noise()), None, Items(table), config, seed=0)
    assert fused.name == "0.25 texts + 0.75 brand"
    plain = fuse(as_text(noise()), None, Items(table), RepresentConfig(), seed=0)
    assert plain.name == "texts"
