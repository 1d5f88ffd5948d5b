"""Sequence networks: windows by hand, no look ahead, order learned, texts, resume, next interests."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

torch = pytest.importorskip("torch")

from penchant.config import NeuralConfig, RepresentConfig, RunOptions  # noqa: E402
from penchant.data import Events, Vectors  # noqa: E402
from penchant.represent import (  # noqa: E402
    make_representation,
    representation_from_parts,
    sequence_reading,
)
from penchant.represent.sequence import SequenceMethod  # noqa: E402
from penchant.represent.sequence_networks import BODIES, Sequence  # noqa: E402
from penchant.represent.sequence_training import _Draw  # noqa: E402
from penchant.represent.sequence_windows import (  # noqa: E402
    FIRST_EVENT,
    batches_by_length,
    cut_windows,
    latest_windows,
    pad,
    read_histories,
)
from tests.represent.small_logs import RUN, events_of, items_of  # noqa: E402

KINDS = sorted(BODIES)
SETTINGS = {
    "min_item_events": 1,
    "neural": {
        "n_dims": 16,
        "n_epochs": 12,
        "n_windows": 16,
        "max_length": 8,
        "dropout": 0.0,
        "patience": 12,
        "learning_rate": 0.0015,
        "refit": False,
    },
}
CONFIG = RepresentConfig.model_validate(SETTINGS)
N_CIRCLE = 20


def walk(seed: int = 0, n_users: int = 120, length: int = 9) -> Events:
    """Each user walks around a circle of items, one way, from anywhere: only the last item tells the next."""
    start = np.random.default_rng(seed).integers(0, N_CIRCLE, n_users)
    users, step = np.tile(np.arange(n_users), length), np.repeat(np.arange(length), n_users)
    return events_of(users, (start[users] + step) % N_CIRCLE)


def fitted(
    kind: str,
    log: Events,
    text: Vectors | None = None,
    n_items: int = N_CIRCLE,
    run: RunOptions = RUN,
    **neural: float,
) -> SequenceMethod:
    config = CONFIG.model_copy(update={"neural": CONFIG.neural.model_copy(update=neural)})
    made = make_representation(kind, config, run, seed=0)
    assert isinstance(made, SequenceMethod)
    made.fit(log, items_of(n_items), text)
    return made


def next_items(made: SequenceMethod, log: Events) -> np.ndarray:
    """The best new item of each user."""
    scores = made.user_vectors(log) @ made.item_vectors.T
    scores[log.user_row, log.item_row] = -np.inf
    return np.argmax(scores, axis=1)


def last_items(log: Events) -> np.ndarray:
    return log.table.group_by("user_row", maintain_order=True).last().sort("user_row")["item_row"].to_numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_step_of_a_walk_is_foretold(kind: str) -> None:
    """Only the last item tells the next; the best round is the first that foretells what is held out."""
    made, log = fitted(kind, walk()), walk(seed=1)
    assert (next_items(made, log) == (last_items(log) + 1) % N_CIRCLE).mean() > 0.9


def test_a_sample_of_items_teaches_the_same() -> None:
    made, log = fitted("gru", walk(), n_negatives=6), walk(seed=1)
    assert (next_items(made, log) == (last_items(log) + 1) % N_CIRCLE).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_no_network_sees_what_comes_later_or_the_padding(kind: str) -> None:
    network = Sequence(kind, 2, True, NeuralConfig(n_dims=8, n_heads=2, max_length=6, n_layers=2)).eval()
    torch.manual_seed(0)
    vectors = torch.randn(3, 6, 8)
    batch = {"action": torch.randint(0, 3, (3, 6)), "gap": torch.randint(0, 9, (3, 6))}
    with torch.inference_mode():
        whole = network(vectors, batch)
        other = network(torch.cat([vectors[:, :4], torch.randn(3, 2, 8)], dim=1), batch)
        short = network(vectors[:, :4], {k: v[:, :4] for k, v in batch.items()})
    torch.testing.assert_close(whole[:, :4], other[:, :4])
    torch.testing.assert_close(whole[:, :4], short)
    torch.testing.assert_close(whole.norm(dim=-1), torch.ones(3, 6))


@pytest.mark.parametrize("length", [1, 2, 6])
@pytest.mark.parametrize("has_more", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_users_read_without_torch_are_those_of_the_network(kind: str, has_more: bool, length: int) -> None:
    torch.manual_seed(1)
    config = NeuralConfig(n_dims=8, n_heads=2, max_length=6, n_layers=3)
    network = Sequence(kind, 2 if has_more else 1, has_more, config).eval()
    for weight in network.parameters():  # not as they begin: many are zeros and ones
        torch.nn.init.normal_(weight, std=0.5)
    vectors = torch.randn(4, length, 8)
    batch = {"action": torch.randint(0, 3, (4, length)), "gap": torch.randint(0, 9, (4, length))}
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    read = sequence_reading.reader(kind, weights, config.n_heads)
    with torch.inference_mode():
        expected = network(vectors, batch).numpy()
    got = read(vectors.numpy(), {name: rows.numpy() for name, rows in batch.items()})
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_both_forms_of_networks_have_the_same_bodies() -> None:
    assert set(sequence_reading.BODIES) == set(BODIES)


def test_histories_by_hand() -> None:
    table = pl.DataFrame(
        {
            "user_row": [1, 0, 1, 1, 1],
            "item_row": [4, 2, 4, 0, 3],
            "action": [0, 1, 1, 0, 0],
            "weight": [1.0, 1.0, 1.0, -1.0, 1.0],
            "time": [10.0, 11.0, 10.0 + 2**20 - 1, 2e6, 2e6],
        },
        schema_overrides={
            "user_row": pl.Int32,
            "item_row": pl.Int32,
            "action": pl.Int16,
            "weight": pl.Float32,
        },
    )
    log = Events(table, pl.Series(["a", "b", "c"]), ("view", "other"))
    histories = read_histories(log, np.array([1, 1, 1, 0, 1], bool), ("buy", "view"))
    assert histories.start.tolist() == [0, 1, 3, 3]
    assert histories.item.tolist() == [2, 4, 4]  # item 3 says nothing, item 0 was disliked; the repeat stays
    assert histories.action.tolist() == [0, 2, 0]  # "other" is not known to the network
    assert histories.gap.tolist() == [FIRST_EVENT, FIRST_EVENT, 20]
    begin, length = latest_windows(histories, np.array([1]), 1)
    assert (begin.tolist(), length.tolist()) == ([2], [1])


def test_windows_foretell_every_event_but_the_first_once() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([1, 2, 3, 7, 8, 20, 51, 5])
    log = events_of(rng.permutation(np.repeat(np.arange(8), sizes)), rng.integers(0, 9, sizes.sum()))
    histories = read_histories(log, np.ones(9, bool), ("view",))
    for _ in range(20):
        begin, length = cut_windows(histories, 7, rng)
        assert length.min() >= 1
        assert length.max() <= 7
        told = np.concatenate([np.arange(b + 1, b + n + 1) for b, n in zip(begin, length, strict=True)])
        first = histories.start[:-1]
        assert np.array_equal(np.sort(told), np.setdiff1d(np.arange(sizes.sum()), first))
        owner = np.searchsorted(histories.start, begin, side="right")
        assert np.array_equal(owner, np.searchsorted(histories.start, begin + length, side="right"))


def test_batches_hold_each_window_once_and_little_padding() -> None:
    rng = np.random.default_rng(0)
    begin, length = np.arange(100), rng.integers(1, 50, 100)
    batches = list(batches_by_length(begin, length, 10, rng))
    assert np.array_equal(np.sort(np.concatenate([b for b, _ in batches])), begin)
    assert sum(n.max() * len(n) for _, n in batches) < 1.3 * length.sum()


def test_padding_by_hand() -> None:
    histories = read_histories(events_of(np.array([0, 0, 0, 1]), np.array([5, 6, 7, 8])), np.ones(9, bool), ("view",))
    padded = pad(histories, np.array([1, 3]), np.array([2, 1]))
    assert padded["item"].tolist() == [[6, 7], [8, 0]]
    assert padded["there"].tolist() == [[True, True], [True, False]]


def test_an_item_with_a_text_and_no_event_stands_with_its_like() -> None:
    """Items 20..39 have the texts of 0..19 and nobody took them: each lies nearest to its twin."""
    values = np.vstack([np.eye(N_CIRCLE), np.eye(N_CIRCLE)]).astype(np.float32)
    made = fitted("gru", walk(), Vectors(values, "texts"), n_items=2 * N_CIRCLE)
    assert made.item_vectors[N_CIRCLE:].any(axis=1).all()
    twin = np.argmax(made.item_vectors[N_CIRCLE:] @ made.item_vectors[:N_CIRCLE].T, axis=1)
    assert (twin == np.arange(N_CIRCLE)).all()
    log = walk(seed=1)
    assert (next_items(made, log) % N_CIRCLE == (last_items(log) + 1) % N_CIRCLE).mean() > 0.9
    only_new = Events(log.table.with_columns(pl.col("item_row") + N_CIRCLE), log.user_ids, log.actions)
    assert made.user_vectors(only_new).any(axis=1).all()
    assert not fitted("gru", walk(), n_items=2 * N_CIRCLE).item_vectors[N_CIRCLE:].any()


def test_seldom_items_without_a_text_get_zeros() -> None:
    log = walk()
    seldom = Events(
        log.table.with_columns(
            pl.when(pl.int_range(pl.len()) == 300)
            .then(pl.lit(N_CIRCLE, pl.Int32))
            .otherwise("item_row")
            .alias("item_row")
        ),
        log.user_ids,
        log.actions,
    )
    config = CONFIG.model_copy(
        update={"min_item_events": 2, "neural": CONFIG.neural.model_copy(update={"n_epochs": 1})}
    )
    made = make_representation("gru", config, RUN, seed=0)
    made.fit(seldom, items_of(N_CIRCLE + 1), None)
    assert not made.item_vectors[N_CIRCLE].any()
    assert made.item_vectors[:N_CIRCLE].any(axis=1).all()


def test_next_interests_sum_to_one_and_name_the_next() -> None:
    made, log = fitted("gru", walk()), walk(seed=1)
    half = sp.csr_array(np.eye(2, dtype=np.float32)[np.arange(N_CIRCLE) // (N_CIRCLE // 2)])
    chance = made.next_interests(log, half)
    np.testing.assert_allclose(chance.sum(axis=1), 1, rtol=1e-5)
    expected = (last_items(log) + 1) % N_CIRCLE // (N_CIRCLE // 2)
    assert (np.argmax(chance, axis=1) == expected).mean() > 0.8
    nobody = events_of(np.array([0, 2]), np.array([0, 1]), np.array([1.0, -1.0]))
    assert made.next_interests(nobody, half).sum(axis=1).tolist() == pytest.approx([1, 0, 0])
    logits = made.user_vectors(log) @ made.item_vectors.T / float(made.facts["temperature"])
    plain = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chance, plain @ half.toarray(), atol=2e-3)


def test_repeats_are_events_of_their_own() -> None:
    """Everybody takes each item twice in a row: after the first comes the same again."""
    users = np.tile(np.arange(120), 12)
    start = np.random.default_rng(0).integers(0, N_CIRCLE, 120)
    log = events_of(users, (start[users] + np.repeat(np.arange(12), 120) // 2) % N_CIRCLE)
    made = fitted("gru", log)
    after_first = log.take(log.own_index <= 6)
    scores = made.user_vectors(after_first) @ made.item_vectors.T
    assert (np.argmax(scores, axis=1) == last_items(after_first)).mean() > 0.8


def test_a_log_of_another_order_of_actions_and_without_times_is_read() -> None:
    log = walk()
    action = (log.own_index % 2).astype(np.int16)
    two = Events(log.table.with_columns(action=pl.Series(action)), log.user_ids, ("view", "buy"))
    made = fitted("gru", two, n_epochs=2)
    turned = Events(two.table.with_columns(action=pl.Series(1 - action)), two.user_ids, ("buy", "view"))
    assert np.array_equal(made.user_vectors(turned), made.user_vectors(two))
    order = Events(two.table, two.user_ids, two.actions, "order")
    assert np.isfinite(made.user_vectors(order)).all()
    assert made.user_vectors(order).any(axis=1).all()


def test_stopped_and_gone_on_with_the_same_bytes(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    import penchant.represent.training as training

    run = RunOptions(checkpoint_dir=Path(str(tmp_path)))
    log = walk()
    expected = fitted("transformer", log, n_epochs=4, refit=True, dropout=0.2)
    stop_at = 4 + int(expected.facts["n_rounds"]) // 2  # in the second phase
    write, calls = training._write_state, []

    def stop_on_the_way(file: object, state: object) -> None:
        write(file, state)  # type: ignore[arg-type]
        calls.append(file)
        if len(calls) == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_write_state", stop_on_the_way)
    with pytest.raises(KeyboardInterrupt):
        fitted("transformer", log, run=run, n_epochs=4, refit=True, dropout=0.2)
    again = fitted("transformer", log, run=run, n_epochs=4, refit=True, dropout=0.2)
    assert again.item_vectors.tobytes() == expected.item_vectors.tobytes()
    assert again.user_vectors(log).tobytes() == expected.user_vectors(log).tobytes()


def test_saved_with_texts_and_read_back() -> None:
    text = Vectors(np.eye(N_CIRCLE, dtype=np.float32), "texts")
    made = fitted("convolution", walk(), text, n_epochs=2)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    again = representation_from_parts(made.to_parts(), RUN)
    assert torch.equal(torch.rand(2), expected), "reading a model draws nothing from the caller's generator"
    assert again.user_vectors(walk(seed=2)).tobytes() == made.user_vectors(walk(seed=2)).tobytes()
    kept = made.to_parts().arrays
    assert text.values.shape not in {a.shape for n, a in kept.items() if n != "text_map"}, "texts are not kept twice"


def test_items_are_drawn_by_damped_frequency() -> None:
    draw = _Draw(np.array([16, 1], np.int32), 20_000)
    batch = draw(np.random.default_rng(0))
    share = float((batch["drawn"] == 0).float().mean())
    assert share == pytest.approx(8 / 9, abs=0.01)  # 16 ** 0.75 = 8
    first = batch["bias"][batch["drawn"] == 0][0]
    assert float(first) == pytest.approx(-np.log(20_000 * 8 / 9), abs=1e-4)
