"""The one training loop: seeded, stopped by validation, resumable, and leaving torch as it found it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from penchant.config import NeuralConfig, RunOptions  # noqa: E402
from penchant.data import Events  # noqa: E402
from penchant.errors import ConfigError, ModelError, OutputError  # noqa: E402
from penchant.represent.held_out import hold_out, hold_out_late, ndcg, user_ndcg  # noqa: E402
from penchant.represent.softmax_loss import sampled_softmax_loss, softmax_loss  # noqa: E402
from penchant.represent.training import (  # noqa: E402
    Batch,
    Task,
    Trained,
    load_weights,
    pick_device,
    train,
    weights_to_arrays,
)
from tests.represent.small_logs import N_ITEMS, events_of, market  # noqa: E402

CONFIG = NeuralConfig(n_epochs=6, patience=6, learning_rate=0.05)


class Stopped(Exception):
    """The power goes out."""


def task(scores: list[float] | None = None, stop_in_round: int = 0) -> Task:
    """A line through noisy points, with dropout, so that every source of chance takes part."""
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    told = itertools.count()
    n_rounds = itertools.count(1)

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        number = next(n_rounds)
        for rows in np.split(rng.permutation(64), 4):
            if number == stop_in_round:
                raise Stopped
            yield {"x": torch.from_numpy(x[rows]), "y": torch.from_numpy(y[rows])}

    def loss(network: torch.nn.Module, batch: Batch, step: int) -> torch.Tensor:
        return (network(batch["x"]) - batch["y"]).square().mean()

    def build() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1))

    def score(network: torch.nn.Module) -> float:
        assert not network.training
        if scores is not None:
            return scores[next(told)]
        return -float((network(torch.from_numpy(x)) - torch.from_numpy(y)).square().mean())

    return Task(build, batches, loss, score)


def run_once(
    choosing: Task | None, *, config: NeuralConfig = CONFIG, whole: Task | None = None, folder: Path | None = None
) -> Trained:
    run = RunOptions(checkpoint_dir=folder)
    return train(whole or task(), choosing, config, run, seed=3, name="line", data="points")


def bytes_of(trained: Trained) -> bytes:
    return b"".join(a.tobytes() for a in weights_to_arrays(trained.network).values())


def test_the_loss_falls_and_the_facts_tell_every_round() -> None:
    facts = run_once(task()).facts
    assert facts["loss_by_round"][-1] < facts["loss_by_round"][0]
    assert len(facts["score_by_round"]) == CONFIG.n_epochs
    assert len(facts["loss_by_round"]) == facts["n_rounds"]


def test_same_seed_same_bytes_and_the_callers_chance_goes_on_untouched() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = bytes_of(run_once(task()))
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(99)
    assert bytes_of(run_once(task())) == first


def test_threads_and_settings_of_torch_are_put_back() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = bytes_of(run_once(task()))
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert bytes_of(run_once(task())) == two
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before)


def test_training_stops_after_patience_and_the_whole_log_gets_the_best_number_of_rounds() -> None:
    scores = [0.1, 0.3, 0.2, 0.2, 0.9, 0.9]
    facts = run_once(task(scores), config=CONFIG.model_copy(update={"patience": 2})).facts
    assert facts["n_rounds"] == 2
    assert facts["score_by_round"] == [0.1, 0.3, 0.2, 0.2]
    assert facts["validation_ndcg"] == 0.3
    assert len(facts["loss_by_round"]) == 2


def test_without_refit_the_best_rounds_weights_are_the_result() -> None:
    short = CONFIG.model_copy(update={"refit": False, "n_epochs": 2})
    longer = CONFIG.model_copy(update={"refit": False, "n_epochs": 5})
    best_second = run_once(task([0.1, 0.9, 0.2, 0.2, 0.2]), config=longer)
    assert bytes_of(best_second) == bytes_of(run_once(task([0.1, 0.9]), config=short))


def test_without_anything_to_validate_on_all_rounds_are_run() -> None:
    facts = run_once(None).facts
    assert facts["n_rounds"] == len(facts["loss_by_round"]) == CONFIG.n_epochs
    assert "too few" in facts["chosen_by"]


@pytest.mark.parametrize("phase", ["choosing", "whole"])
def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, phase: str) -> None:
    expected = run_once(task())
    stopped = {"choosing": task(stop_in_round=4) if phase == "choosing" else task()}
    stopped["whole"] = task(stop_in_round=3) if phase == "whole" else task()
    with pytest.raises(Stopped):
        run_once(stopped["choosing"], whole=stopped["whole"], folder=tmp_path)
    assert list(tmp_path.glob("line-*.npz"))
    went_on = run_once(task(), folder=tmp_path)
    assert bytes_of(went_on) == bytes_of(expected)
    assert went_on.facts == expected.facts
    assert not list(tmp_path.iterdir()), "finished training leaves nothing behind"


def test_a_state_of_other_data_or_settings_is_not_taken_up(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run_once(task(stop_in_round=4), folder=tmp_path)
    other = CONFIG.model_copy(update={"learning_rate": 0.01})
    assert bytes_of(run_once(task(), config=other, folder=tmp_path)) == bytes_of(run_once(task(), config=other))


def test_a_state_that_was_cut_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run_once(task(stop_in_round=4), folder=tmp_path)
    file = next(tmp_path.glob("*.npz"))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ModelError, match="delete it to start anew"):
        run_once(task(), folder=tmp_path)


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="checkpoint folder"):
        run_once(task(), folder=tmp_path / "file")


def test_a_loss_beyond_all_bounds_stops_the_run() -> None:
    endless = dataclasses.replace(task(), loss=lambda network, batch, step: network(batch["x"]).mean() * float("inf"))
    with pytest.raises(ConfigError, match=r"lower represent\.neural\.learning_rate"):
        run_once(None, whole=endless)


def test_devices() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="must be auto, cpu or cuda"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="finds no CUDA device"):
            pick_device("cuda")


def test_the_bar_is_shown_only_when_asked(capfd: pytest.CaptureFixture[str]) -> None:
    run_once(task())
    assert capfd.readouterr().err == ""
    train(task(), task(), CONFIG, RunOptions(progress=True), seed=0, name="line", data="")
    assert "line" in capfd.readouterr().err


def test_weights_of_another_network_are_refused() -> None:
    arrays = weights_to_arrays(torch.nn.Linear(3, 2))
    with pytest.raises(ModelError, match="of shape"):
        load_weights(torch.nn.Linear(2, 2), arrays)
    with pytest.raises(ModelError, match="missing"):
        load_weights(torch.nn.Linear(3, 2), {})


@pytest.mark.parametrize("block", [16, 1000])
def test_the_softmax_in_blocks_equals_the_plain_one(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setitem(
        __import__("penchant.represent.softmax_loss").represent.softmax_loss.BLOCK_ELEMENTS, "cpu", block
    )
    torch.manual_seed(0)
    rows = torch.tensor([0, 0, 1, 3, 40, 40])  # user 2 has no target
    columns, weights = torch.tensor([1, 2, 0, 6, 3, 3]), torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0, 3.0])
    results = []
    for plain in (True, False):
        hidden = torch.randn(41, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
        items = torch.randn(7, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
        if plain:
            loss = -(torch.log_softmax(hidden @ items.T, dim=1)[rows, columns] * weights).sum()
        else:
            loss = softmax_loss(hidden, items, rows, columns, weights)
        (2 * loss).backward()
        results.append([loss.detach(), hidden.grad, items.grad])
    for plain_value, value in zip(*results, strict=True):
        torch.testing.assert_close(value, plain_value)


def test_a_sampled_softmax_over_every_item_is_the_whole_one() -> None:
    torch.manual_seed(0)
    hidden, items, target = torch.randn(6, 4), torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 4, 0])
    drawn = torch.arange(5)
    sampled = sampled_softmax_loss(hidden, items[target], items[drawn], torch.zeros(5), target[:, None] == drawn)
    torch.testing.assert_close(sampled, softmax_loss(hidden, items, torch.arange(6), target))


def test_late_targets_are_later_known_and_new() -> None:
    log = market(n_users=300)
    held = hold_out_late(log.positive(), 0.2, N_ITEMS, seed=0)
    assert held is not None
    cut = held.train.end
    pairs = set(zip(held.history.user_row.tolist(), held.history.item_row.tolist(), strict=True))
    for user, targets in zip(held.users.tolist(), held.targets.tolist(), strict=True):
        own = log.take(log.user_row == user)
        chosen = [t for t in targets if t >= 0]
        assert chosen
        assert not {(user, t) for t in chosen} & pairs
        last_of = {t: own.time[own.item_row == t].max() for t in chosen}
        assert all(time > cut for time in last_of.values())
        assert len(own) - (held.history.user_row == user).sum() <= len(own) // 2


@pytest.mark.parametrize("choose_on", ["everyone", "late"])
def test_late_users_are_asked_with_everybody_elses_last_event(choose_on: Literal["late", "everyone"]) -> None:
    """One user after the other: only the last ones act after the cut (at the eleventh user's last event), too few."""
    users = np.repeat(np.arange(12), 4)
    items = np.tile(np.arange(4), 12)
    items[:2] = [3, 0]  # known to the training part by the first user, who has it twice
    items[3] = 1
    items[-2:] = [2, 1]  # the last user has two late events that are asked for
    held = hold_out(events_of(users, items).positive(), 0.1, 4, seed=0, choose_on=choose_on, least_users=12)
    assert held is not None
    assert held.users.tolist() == held.owners.tolist() == list(range(12))
    assert held.targets.tolist() == [[1, -1, -1], *[[3, -1, -1]] * 10, [-1, 2, -1]]  # item 1 was had before
    assert held.train.user_row.tolist() == np.repeat(np.arange(11), 3).tolist()  # before the cut, nothing asked for
    assert held.history.n_by_user.tolist() == [*[3] * 11, 2]


def test_enough_late_users_are_asked_alone_unless_everyone_is_to_be() -> None:
    log = market(n_users=800).positive()
    late, everyone = (hold_out(log, 0.3, N_ITEMS, seed=0, choose_on=way) for way in ("late", "everyone"))
    alone = hold_out_late(log, 0.3, N_ITEMS, seed=0)
    assert late is not None
    assert alone is not None
    assert everyone is not None
    assert 300 <= late.n_owners == alone.n_owners < everyone.n_owners
    assert np.array_equal(late.targets, alone.targets)
    assert set(late.owners.tolist()) <= set(everyone.owners.tolist())


def test_one_question_each_where_turns_would_ask_fewer_users() -> None:
    """Item 17 is known by a late event of the first user alone, which asking by turns keeps back."""
    users = np.concatenate([np.zeros(20), np.repeat(np.arange(1, 6), 2)])
    items = np.concatenate([np.arange(20), np.tile([0, 17], 5)])
    held = hold_out(events_of(users, items).positive(), 0.1, 20, seed=0)
    assert held is not None
    assert held.owners.tolist() == [1, 2, 3, 4, 5]
    assert held.targets.tolist() == [[17, -1, -1]] * 5


def test_where_users_are_few_each_late_event_is_asked_from_what_came_before_it() -> None:
    users = np.repeat(np.arange(6), 12)
    items = np.tile(np.arange(12), 6)
    items[[0, 1, 11]] = [11, 10, 3]  # the first user has the last two items early, so they are known, and 3 twice
    held = hold_out(events_of(users, items).positive(), 0.1, 12, seed=0)
    assert held is not None
    assert held.owners.tolist() == [u for u in range(1, 6) for _ in range(2)]
    assert held.targets[:, 0].tolist() == [10, 11] * 5
    assert not (held.targets[:, 1:] >= 0).any()
    assert len(held.train) == 6 * 10
    for row, owner, target in zip(held.users, held.owners, held.targets[:, 0], strict=True):
        past = held.history.item_row[held.history.user_row == row].tolist()
        assert past == [i for i, u in zip(items, users, strict=True) if u == owner and i < target]


def test_a_user_who_is_asked_often_counts_once_and_from_the_latest_past() -> None:
    """One user is asked ten times, each time from at most 500 of 540 to 549 events before; the other twice."""
    users = np.concatenate([np.zeros(12), np.ones(550)])
    items = np.concatenate([np.arange(540, 550), [0, 1], np.arange(550)])
    held = hold_out(events_of(users, items).positive(), 0.1, 550, seed=0)
    assert held is not None
    assert held.owners.tolist() == [0] * 2 + [1] * 10
    assert np.bincount(held.history.user_row).tolist() == [10, 11] + [500] * 10
    right = np.ones((12, 550), np.float32)
    right[np.arange(12), held.targets[:, 0]] = 2 * (held.owners == 0)  # right on the first user alone
    scores = user_ndcg(held, lambda rows: right[rows])
    assert scores[0] == 1
    assert scores[1] < 1
    assert ndcg(held, lambda rows: right[rows]) == pytest.approx(scores.mean())


def test_nothing_is_held_out_of_a_log_without_a_past() -> None:
    one = events_of(np.zeros(1), np.zeros(1))
    assert hold_out(one.positive(), 0.1, N_ITEMS, seed=0) is None
    nobody: Events = events_of(np.zeros(0), np.zeros(0))
    assert hold_out(nobody.positive(), 0.1, N_ITEMS, seed=0) is None


def test_ndcg_by_hand() -> None:
    """One user, target first: 1; another's target third after the own past is out: 1 / log2(4)."""
    log = events_of(np.array([0, 1, 0, 1]), np.array([0, 1, 2, 3]))
    held = hold_out_late(log.positive(), 0.5, 5, seed=0)
    assert held is None  # items 2 and 3 are not known before the cut
    log = events_of(np.array([2, 2, 0, 1, 0, 1]), np.array([2, 3, 0, 1, 2, 3]))
    held = hold_out_late(log.positive(), 0.34, 5, seed=0)
    assert held is not None
    scores = np.array([[9, 1, 5, 2, 0], [5, 9, 4, 3, 0]], np.float32)
    assert ndcg(held, lambda users: scores[users]) == pytest.approx((1 + 1 / np.log2(4)) / 2)
