"""A network carried over to another log: items others, texts alike; what is kept, what may change, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch")

import penchant as pc  # noqa: E402
from penchant.config import NeuralConfig, RepresentConfig, build_config  # noqa: E402
from penchant.data import Events, Vectors, unit_rows  # noqa: E402
from penchant.errors import ConfigError, ModelError  # noqa: E402
from penchant.protocols import Representation  # noqa: E402
from penchant.represent import (  # noqa: E402
    METHODS,
    Source,
    make_representation,
    representation_from_parts,
    sequence_training,
)
from penchant.represent.held_out import HeldOut  # noqa: E402
from penchant.represent.sequence import SequenceMethod  # noqa: E402
from penchant.represent.sequence_training import Lesson  # noqa: E402
from penchant.represent.transfer import TextReading  # noqa: E402
from tests.represent.small_logs import RUN, events_of, items_of  # noqa: E402
from tests.represent.test_sequence import last_items, next_items  # noqa: E402

KINDS = sorted(name for name, method in METHODS.items() if method.starts)
N_STATIONS = 10
NEURAL = {
    "n_dims": 16,
    "n_epochs": 30,
    "n_windows": 16,
    "max_length": 8,
    "dropout": 0.0,
    "patience": 30,
    "refit": False,
    "item_dropout": 0.5,
    "text_map": "learned",
}


def settings(**more: object) -> RepresentConfig:
    neural = {**NEURAL, **{k: more.pop(k) for k in list(more) if k in NEURAL}}
    return RepresentConfig.model_validate({"min_item_events": 1, "neural": neural, **more})


def circle(first_item: int, seed: int, n_users: int, length: int = 7) -> Events:
    """Users walk around ten stations; items `first_item` .. + 9 are the stations of this log."""
    start = np.random.default_rng(seed).integers(0, N_STATIONS, n_users)
    users, step = np.tile(np.arange(n_users), length), np.repeat(np.arange(length), n_users)
    return events_of(users, first_item + (start[users] + step) % N_STATIONS)


def station_texts(n_before: int, noise_seed: int) -> Vectors:
    """What each station says of itself, the same in both logs up to noise, behind `n_before` items without a text."""
    words = np.eye(N_STATIONS, 12) + 0.02 * np.random.default_rng(noise_seed).normal(size=(N_STATIONS, 12))
    values = np.vstack([np.zeros((n_before, 12)), words / np.linalg.norm(words, axis=1, keepdims=True)])
    return Vectors(values.astype(np.float32), "stations")


def source(kind: str) -> SequenceMethod:
    made = make_representation(kind, settings(), RUN, seed=0)
    made.fit(circle(0, 0, 150), items_of(N_STATIONS), station_texts(0, 0))
    assert isinstance(made, SequenceMethod)
    return made


@pytest.fixture(scope="module", params=KINDS)
def learned(request: pytest.FixtureRequest) -> SequenceMethod:
    return source(str(request.param))


def moved(learned: SequenceMethod, log: Events, **more: object) -> SequenceMethod:
    config = settings(start_from="elsewhere", **more)
    made = make_representation(learned.method, config, RUN, seed=1, source=given(learned))
    made.fit(log, items_of(3 + N_STATIONS), station_texts(3, 1))
    assert isinstance(made, SequenceMethod)
    return made


def given(learned: Representation) -> Source:
    return Source(learned, station_texts(0, 0))


def right(made: SequenceMethod) -> float:
    """Share of walkers of the other log whose next station is the best new item."""
    log = circle(3, 5, 80)
    return float((next_items(made, log) == 3 + (last_items(log) - 3 + 1) % N_STATIONS).mean())


def test_what_was_learned_holds_for_other_items_of_like_texts(learned: SequenceMethod) -> None:
    few = circle(3, 3, 8, length=3)
    scratch = make_representation(learned.method, settings(), RUN, seed=1)
    scratch.fit(few, items_of(3 + N_STATIONS), station_texts(3, 1))
    assert right(scratch) < 0.75
    for fine_tune in ("nothing", "items", "all"):
        assert right(moved(learned, few, fine_tune=fine_tune)) > 0.75


def test_no_round_is_one_of_the_choices(learned: SequenceMethod) -> None:
    """What begins well is not made worse by a validation on a few users."""
    facts = moved(learned, circle(3, 3, 12), fine_tune="all").facts
    scores = facts["score_by_round"]
    assert facts["n_rounds"] == int(np.argmax(scores))
    assert len(scores) == len(facts["choice_loss_by_round"]) + 1
    assert facts["score_of_starts"][facts["begun"]] == pytest.approx(max(scores))


@pytest.mark.parametrize(
    ("whole", "anew", "taken"),
    [(0.01, 0.02, "elsewhere in part"), (0.2, 0.21, "elsewhere"), (0.01, 0.2, "anew"), (0.2, 0.4, "anew")],
)
def test_a_start_is_left_where_another_is_better(
    whole: float, anew: float, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By more than a standard error over the held-out users (here .05), not by less; the name says what was done."""

    def each(lesson: Lesson, held: HeldOut, max_length: int) -> Callable[[object], np.ndarray]:
        gain = anew if lesson.start is None else whole if lesson.kept == 1 else 0.0
        n = held.n_owners // 2 * 2
        user = np.arange(held.n_owners)
        sign = 0 if gain == 0 else -1 if lesson.start is not None else 1
        off = np.where(user < n, 0.05 * np.sqrt(held.n_owners - 1) * np.where(user % 2, 1, -1), 0)
        return lambda network: gain + sign * off

    monkeypatch.setattr(sequence_training, "_each", each)
    learned, log = source("gru"), circle(3, 3, 12)
    made = moved(learned, log, refit=True)
    alone = make_representation("gru", settings(refit=True), RUN, seed=1)
    alone.fit(log, items_of(3 + N_STATIONS), station_texts(3, 1))
    assert made.facts["begun"] == taken
    assert (f"begun {taken}: better" in made.name) == (taken != "elsewhere in part")
    assert np.array_equal(made.item_vectors, alone.item_vectors) == (taken == "anew")


def test_without_held_out_events_the_start_is_the_one_taken_in_doubt(learned: SequenceMethod) -> None:
    """One user, each item once: nothing can be asked for, so a fifth of the source learns on for all rounds."""
    alone = circle(3, 3, 1, length=6)
    made = moved(learned, alone, n_epochs=1)
    assert made.facts["chosen_by"] == "n_epochs (too few events to validate on)"
    source_of, fresh = weights(learned), make_representation(learned.method, settings(n_epochs=1), RUN, seed=1)
    fresh.fit(alone, items_of(3 + N_STATIONS), station_texts(3, 1))
    assert isinstance(fresh, SequenceMethod)
    start = np.concatenate([w.ravel() for n, w in source_of.items() if n.startswith("weights.")])
    away = {
        name: np.abs(
            np.concatenate([w.ravel() for n, w in weights(m).items() if n.startswith("weights.")]) - start
        ).mean()
        for name, m in (("moved", made), ("fresh", fresh))
    }
    assert 0.5 * away["fresh"] < away["moved"] < 0.95 * away["fresh"]


def test_a_part_of_the_weights_is_carried_over() -> None:
    """w = .8 fresh + .2 of the source's, but for what actions mean."""
    learned, network = source("gru"), {}
    start = moved(learned, circle(3, 3, 4), fine_tune="nothing")._start
    for kept in (0.0, 0.2, 1.0):
        lesson = Lesson(
            "gru", circle(3, 3, 4), 3 + N_STATIONS, np.eye(13, 12, dtype=np.float32), learned._actions, True,
            start, None, "all", kept,
        )  # fmt: skip
        torch.manual_seed(0)
        network[kept] = sequence_training._task(lesson, lesson.liked, settings().neural, None).build().sequence
    fresh, part, whole = (n.state_dict() for n in network.values())
    for name in fresh:
        if name != "action.weight":
            torch.testing.assert_close(part[name], 0.8 * fresh[name] + 0.2 * whole[name])
    assert any(not torch.equal(fresh[name], whole[name]) for name in fresh)


def weights(made: SequenceMethod) -> Mapping[str, np.ndarray]:
    return {n: a for n, a in made.to_parts().arrays.items() if n.startswith(("weights.", "text_map"))}


def test_held_weights_stay_and_free_ones_move(learned: SequenceMethod) -> None:
    before = weights(learned)
    log = circle(3, 3, 60, length=5)
    # a walk the other way round: what was learned is wrong here
    backwards = events_of(log.user_row, 3 + (N_STATIONS - (log.item_row - 3)) % N_STATIONS)
    for fine_tune, same in (("nothing", True), ("items", True), ("all", False)):  # "all": moved or anew, not as before
        after = weights(moved(learned, backwards, fine_tune=fine_tune))
        assert all(np.array_equal(before[name], after[name]) for name in before) == same, fine_tune
    assert weights(learned).keys() == before.keys()
    assert all(np.array_equal(a, before[n]) for n, a in weights(learned).items()), "the source stays as it is"


def test_saved_and_read_back(learned: SequenceMethod) -> None:
    made, log = moved(learned, circle(3, 3, 12)), circle(3, 5, 9)
    again = representation_from_parts(made.to_parts(), RUN)
    assert again.user_vectors(log).tobytes() == made.user_vectors(log).tobytes()
    on = make_representation(
        learned.method, settings(start_from="x"), RUN, seed=0, source=Source(again, station_texts(3, 1))
    )
    on.fit(circle(3, 3, 12), items_of(3 + N_STATIONS), station_texts(3, 1))
    assert on.item_vectors.any()


def test_a_log_without_pairs_gets_what_was_learned(learned: SequenceMethod) -> None:
    made = moved(learned, circle(3, 0, 5, length=1))
    assert made.facts["chosen_by"] == "no user with two liked events"
    assert right(made) > 0.75


def test_what_does_not_fit_is_refused(learned: SequenceMethod) -> None:
    other = next(kind for kind in KINDS if kind != learned.method)
    log, items, text = circle(3, 0, 5), items_of(3 + N_STATIONS), station_texts(3, 1)

    def fit(kind: str, text: Vectors | None, **more: object) -> None:
        config = settings(start_from="x", **more)
        make_representation(kind, config, RUN, seed=0, source=given(learned)).fit(log, items, text)

    with pytest.raises(ConfigError, match=rf"represent.method={learned.method}"):
        fit(other, text)
    with pytest.raises(ConfigError, match=r"represent.neural.n_dims=16"):
        fit(learned.method, text, n_dims=8)
    with pytest.raises(ModelError, match=r"as 12 numbers. Got 7"):
        fit(learned.method, Vectors(np.ones((3 + N_STATIONS, 7), np.float32), "other"))
    with pytest.raises(ModelError, match=r"Got 0 "):
        fit(learned.method, None, item_dropout=0.0)
    without = make_representation(learned.method, settings(item_dropout=0.0), RUN, seed=0)
    without.fit(log, items, None)
    with pytest.raises(ModelError, match="not trained on items with texts"):
        make_representation(learned.method, settings(start_from="x"), RUN, seed=0, source=given(without))
    factors = make_representation("factors", RepresentConfig(), RUN, seed=0)
    with pytest.raises(ConfigError, match="not a sequence network"):
        make_representation(learned.method, settings(start_from="x"), RUN, seed=0, source=given(factors))
    with pytest.raises(ConfigError, match="allowed: gru, lstm, convolution, transformer"):
        make_representation("factors", RepresentConfig(start_from="x"), RUN, seed=0, source=given(learned))


def test_what_is_nearly_the_same_item_keeps_what_it_was(learned: SequenceMethod) -> None:
    """The same texts: items begin where the source's items are, though no text tells stations apart by kind."""
    made = moved(learned, circle(3, 3, 5), fine_tune="nothing")
    same = (made.item_vectors[3:] * learned.item_vectors).sum(axis=1)
    assert same.min() > 0.95
    start = made._start
    assert start is not None
    far = -start.text.mean(axis=0)
    vectors, sure = start.alike(np.stack([start.text[4], far / np.linalg.norm(far), 0 * far]))
    assert sure[0] == pytest.approx(1)
    assert np.array_equal(vectors[0], learned.item_vectors[4])
    assert sure[1] < 0.5
    assert sure[2] == 0


@pytest.mark.parametrize("text_map", ["learned", "principal"])
def test_both_ways_to_read_texts_are_moved_and_saved(text_map: str) -> None:
    config = settings(text_map=text_map)
    first = make_representation("gru", config, RUN, seed=0)
    first.fit(circle(0, 0, 150), items_of(N_STATIONS), station_texts(0, 0))
    again = representation_from_parts(first.to_parts(), RUN)
    on = settings(text_map=text_map, start_from="x", fine_tune="nothing")
    made = make_representation("gru", on, RUN, seed=0, source=given(again))
    made.fit(circle(3, 3, 5), items_of(3 + N_STATIONS), station_texts(3, 1))
    assert isinstance(made, SequenceMethod)
    assert right(made) > 0.75
    other = settings(text_map="learned" if text_map == "principal" else "principal", start_from="x")
    made = make_representation("gru", other, RUN, seed=0, source=given(again))
    with pytest.raises(ConfigError, match=rf"represent.neural.text_map={text_map}"):
        made.fit(circle(3, 3, 5), items_of(3 + N_STATIONS), station_texts(3, 1))


def test_principal_directions_are_centred_and_keep_what_sets_texts_apart() -> None:
    rng = np.random.default_rng(0)
    rows = np.vstack([np.zeros((1, 20)), rng.normal(size=(30, 20)) * np.r_[5, 3, np.full(18, 0.01)] + 7])
    reading = TextReading.of(rows.astype(np.float32), NeuralConfig(n_dims=2, n_heads=1, text_map="principal"))
    read = reading.read(rows.astype(np.float32))
    assert not read[0].any()
    np.testing.assert_allclose(np.linalg.norm(read[1:], axis=1), 1, rtol=1e-5)
    off = rows[1:, :2] - rows[1:, :2].mean(axis=0)
    cosines = off @ off.T / np.outer(*[np.linalg.norm(off, axis=1)] * 2)
    np.testing.assert_allclose(read[1:] @ read[1:].T, cosines, atol=0.02)


def test_what_all_texts_share_is_not_read() -> None:
    rng = np.random.default_rng(0)
    rows = unit_rows(np.vstack([np.zeros((1, 20)), rng.normal(size=(30, 20)) + 5]))
    reading = TextReading.of(rows, NeuralConfig())
    read = reading.read(rows)
    assert not read[0].any()
    np.testing.assert_allclose(np.linalg.norm(read[1:], axis=1), 1, rtol=1e-5)
    assert (rows[1:] @ rows[1:].T).min() > 0.8
    assert abs((read[1:] @ read[1:].T)[np.triu_indices(30, 1)].mean()) < 0.05
    same = np.repeat(rows[1:2], 7, axis=0)
    assert not reading.read(same).any(), "what rounding leaves of equal texts is nothing"


def test_a_log_without_times_reads_usual_gaps(learned: SequenceMethod) -> None:
    log = circle(3, 3, 5)
    untimed = Events(log.table, log.user_ids, log.actions, "order")
    made = moved(learned, untimed, fine_tune="nothing")
    gaps = made._weights["gap.weight"]
    assert len(np.unique(gaps, axis=0)) == 1
    expected = np.average(learned._weights["gap.weight"], axis=0, weights=learned._gap_share)
    np.testing.assert_allclose(gaps[0], expected, atol=1e-6)
    assert made.user_vectors(untimed).any()


def test_items_known_by_text_alone() -> None:
    text = station_texts(0, 0)
    made = make_representation("gru", settings(item_dropout=1.0), RUN, seed=0)
    made.fit(circle(0, 0, 60), items_of(N_STATIONS), text)
    alike = Vectors(np.repeat(text.values[:2], [4, N_STATIONS - 4], axis=0), "two things to say")
    told = make_representation("gru", settings(item_dropout=1.0), RUN, seed=0)
    told.fit(circle(0, 0, 60), items_of(N_STATIONS), alike)
    assert len(np.unique(told.item_vectors.round(5), axis=0)) == 2, "nothing but the text tells items apart"
    assert len(np.unique(made.item_vectors.round(5), axis=0)) == N_STATIONS
    with pytest.raises(ConfigError, match="no item has a text"):
        make_representation("gru", settings(item_dropout=0.5), RUN, seed=0).fit(
            circle(0, 0, 9), items_of(N_STATIONS), None
        )


def test_settings_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="none is named"):
        build_config({"represent": {"fine_tune": "items"}})
    with pytest.raises(ConfigError, match="by the encoder of that model"):
        build_config({"represent": {"start_from": "m"}, "encode": {"method": "tfidf"}})


def shop(prefix: str, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A small log and its catalogue; items of both shops are told by the same words."""
    words = [f"{colour} {thing}" for colour in ("red", "blue", "green") for thing in ("coat", "shoe", "lamp", "book")]
    items = pl.DataFrame({"item_id": [f"{prefix}{n}" for n in range(len(words))], "title": words})
    log = circle(0, seed, 40, length=6)
    events = pl.DataFrame(
        {
            "user_id": [f"{prefix}u{u}" for u in log.user_row],
            "item_id": [f"{prefix}{i}" for i in log.item_row],
            "timestamp": 1.6e9 + log.time * 1e4,
        }
    )
    return events, items


def test_from_model_folder_to_model_folder(tmp_path: Path) -> None:
    """Fitted, saved, moved to a shop of other users and items, saved again, compared."""
    neural = {"n_dims": 16, "n_epochs": 2, "max_length": 20}
    base = {
        "represent": {"method": "gru", "neural": neural},
        "recommend": {"method": "popular"},
        "segments": {"n_segments": 2},
    }
    first, second = shop("a", 0), shop("b", 1)
    config = build_config({**base, "encode": {"method": "tfidf"}})
    pc.fit(*first, config=config).save(tmp_path / "first")
    on = build_config({**base, "represent": {**base["represent"], "start_from": str(tmp_path / "first")}})
    model = pc.fit(*second, config=on)
    assert model.encoder is not None
    assert "begun elsewhere" in model.representation.name
    assert model.facts["started_from"] == pc.load(tmp_path / "first").facts["data_fingerprint"]
    model.save(tmp_path / "second")
    again = pc.load(tmp_path / "second")
    text = ["a red winter coat"]
    assert again.place_items(text).equals(model.place_items(text))
    assert again.representation.name == model.representation.name
    found = pc.compare(*second, represent=["factors", "gru"], cluster=["kmeans"], config=on)
    names = dict(found.representations.select("method", "name").iter_rows())
    assert "begun elsewhere" in names["gru"]
    with pytest.raises(ConfigError, match="starts from nothing"):
        pc.fit(*second, config=build_config({"represent": {"start_from": str(tmp_path / "first")}}))
    none = build_config({**base, "represent": {**base["represent"], "start_from": str(tmp_path / "none")}})
    with pytest.raises(ModelError, match="none"):
        pc.fit(*second, config=none)
