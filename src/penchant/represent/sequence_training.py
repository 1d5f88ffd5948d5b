"""Training of the sequence networks: batches, losses, and what is carried over from another log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import sem

from penchant.artefacts import fingerprint
from penchant.config import NeuralConfig, RunOptions
from penchant.data import Events, FloatArray, IntArray
from penchant.represent import sequence_networks as networks
from penchant.represent.held_out import HeldOut, hold_out, user_ndcg
from penchant.represent.sequence_networks import ItemTable, SequenceTraining
from penchant.represent.sequence_reading import Batch as Arrays
from penchant.represent.sequence_reading import Weights, encode_latest
from penchant.represent.sequence_windows import N_GAPS, batches_by_length, cut_windows, pad, read_histories
from penchant.represent.softmax_loss import sampled_softmax_loss, softmax_loss
from penchant.represent.training import (
    Batch,
    Task,
    Trained,
    array_fingerprint,
    inference,
    pick_device,
    train,
    untrained,
    weights_to_arrays,
)
from penchant.represent.transfer import Start

# Negatives are drawn by frequency to this power (Mikolov et al. 2013): seldom items come up too; log-Q evens it out.
DRAW_POWER = 0.75
# Unit vectors turn by about the learning rate a step: 0.003 gave in 3 rounds over movie ratings what 0.001 gave in 7.
GAIN = 3.0
# A trained network learns another log worse than a fresh one where the two differ; most of the way back to fresh
# weights it keeps a hint and learns well ("shrink and perturb", Ash & Adams 2020).
KEPT_IN_PART = 0.2
# The first is taken in doubt: on films as good as all of the weights, on books as good as none (docs/transfer.md).
STARTS = ("elsewhere in part", "elsewhere", "anew")


@dataclass(frozen=True)
class Learned:
    """weights: of the network, by name. table: (n_items, d). text_map: (d, m) or None. gap_share: of each gap's row."""

    weights: Weights
    table: FloatArray
    text_map: FloatArray | None
    gap_share: FloatArray
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Lesson:
    """What a sequence network is trained on.

    method: a key of `sequence_networks.BODIES`. text: (n_items, m) as the network reads it, or None. actions: names in
    the order of their rows, from 1. start: where it begins, or None; alike: of `Start.alike`. fine_tune: what of
    `start` learns on. kept: part of the network's weights that is carried over, the rest is fresh; what actions and
    texts mean, and items with nearly the same text, come whole.
    """

    method: str
    liked: Events
    n_items: int
    text: FloatArray | None
    actions: Sequence[str]
    has_time: bool
    start: Start | None
    alike: tuple[FloatArray, FloatArray] | None
    fine_tune: Literal["all", "items", "nothing"]
    kept: float = 1.0


def train_sequence(lesson: Lesson, neural: NeuralConfig, run: RunOptions, *, seed: int) -> Learned | None:
    """Learn to foretell each next liked item; None: there is nothing to learn from, and nothing learned before.

    Raises:
        ConfigError: no such device, or training diverged.
    """
    trained = _train(lesson, neural, run, seed)
    if trained is None:
        return None
    network = trained.network
    with inference(network, pick_device(run.device)):
        table = network.table(torch.arange(lesson.n_items, device=network.table.known.device)).cpu().numpy()
    weights = {name.removeprefix("weights."): array for name, array in weights_to_arrays(network.sequence).items()}
    from_text = network.table.from_text
    text_map = from_text.weight.detach().cpu().numpy().copy() if from_text is not None else None
    known = np.bincount(lesson.liked.item_row, minlength=lesson.n_items) > 0
    gaps = np.bincount(read_histories(lesson.liked, known, ()).gap, minlength=N_GAPS)
    return Learned(weights, table, text_map, (gaps / max(1, gaps.sum())).astype(np.float32), trained.facts)


def _train(lesson: Lesson, neural: NeuralConfig, run: RunOptions, seed: int) -> Trained | None:
    start, liked = lesson.start, lesson.liked
    whole = _task(lesson, liked, neural, None)
    has_pairs = liked.n_by_user.max(initial=0) >= 2
    if start is not None and (lesson.fine_tune == "nothing" or not has_pairs):
        why = "no user with two liked events" if not has_pairs else "represent.fine_tune = nothing"
        return untrained(whole, run, seed=seed, why=why)
    if not has_pairs:
        return None
    held = hold_out(liked, neural.validation_share, lesson.n_items, seed=seed, choose_on=neural.choose_on)
    if start is not None and lesson.fine_tune == "all":
        if held is not None:
            return _better_start(lesson, neural, run, held, seed)
        lesson = replace(lesson, kept=KEPT_IN_PART)  # nothing to choose by: the start that is taken in doubt
        whole = _task(lesson, liked, neural, None)
    choosing = _task(lesson, held.train, neural, held) if held is not None else None
    return train(whole, choosing, neural, run, seed=seed, name=lesson.method, data=_data(lesson))


def _better_start(lesson: Lesson, neural: NeuralConfig, run: RunOptions, held: HeldOut, seed: int) -> Trained:
    """Begin near `lesson.start`, nearer to a fresh network, or anew: by what foretells held-out events best.

    The later of `STARTS` are taken only where they are ahead by a standard error over the users.
    """
    starts = (replace(lesson, kept=KEPT_IN_PART), lesson, replace(lesson, start=None, alike=None))
    once = neural.model_copy(update={"refit": False})
    found, each, best = [], [], 0
    for begun in starts:
        choosing = _task(begun, held.train, neural, held)
        trained = train(choosing, choosing, once, run, seed=seed, name=lesson.method, data=_data(begun))
        with inference(trained.network, pick_device(run.device)):
            each.append(_each(begun, held, neural.max_length)(trained.network))
        found.append(trained)
        ahead = each[-1] - each[best]
        if len(ahead) > 1 and ahead.mean() > sem(ahead):
            best = len(found) - 1
    kept = starts[best]
    scores = dict(zip(STARTS, (float(e.mean()) for e in each), strict=True))
    facts = {**found[best].facts, "begun": STARTS[best], "score_of_starts": scores}
    if not neural.refit:
        return Trained(found[best].network, facts)
    n_rounds, whole = int(facts["n_rounds"]), _task(kept, kept.liked, neural, None)
    if n_rounds == 0:
        return Trained(untrained(whole, run, seed=seed, why="").network, facts)
    again = train(
        whole,
        None,
        neural.model_copy(update={"n_epochs": n_rounds}),
        run,
        seed=seed,
        name=lesson.method,
        data=_data(kept),
    )
    return Trained(again.network, {**facts, "loss_by_round": again.facts["loss_by_round"]})


def _data(lesson: Lesson) -> str:
    """Fingerprint of all that training reads."""
    start, alike = lesson.start, lesson.alike or ()
    begun = array_fingerprint(*start.weights.values(), start.table, *alike) if start is not None else ""
    return f"{fingerprint(lesson.liked.table)}{array_fingerprint(lesson.text)}{begun}{lesson.fine_tune}{lesson.kept}"


def _task(lesson: Lesson, liked: Events, neural: NeuralConfig, held: HeldOut | None) -> Task:
    counts = np.bincount(liked.item_row, minlength=lesson.n_items)
    known = counts > 0
    known_rows = np.flatnonzero(known)
    column = np.cumsum(known) - 1  # of an item among the known
    histories = read_histories(liked, known, tuple(lesson.actions))
    draw = _Draw(counts[known_rows].astype(np.int32), neural.n_negatives)
    texts = torch.from_numpy(lesson.text) if lesson.text is not None else None

    def build() -> SequenceTraining:
        is_own = known if lesson.alike is None else known | (lesson.alike[1] > 0)
        principal = neural.text_map == "principal"
        table = ItemTable(torch.from_numpy(is_own), texts, neural.n_dims, neural.item_dropout, is_principal=principal)
        has_gaps = lesson.has_time or (lesson.start is not None and lesson.start.has_time)
        sequence = networks.Sequence(lesson.method, len(lesson.actions), has_gaps, neural)
        network = SequenceTraining(table, sequence)
        if lesson.start is not None:
            _carry(lesson, lesson.start, network)
        return network

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        begin, length = cut_windows(histories, neural.max_length, rng)
        for starts, lengths in batches_by_length(begin, length, neural.n_windows, rng):
            padded = pad(histories, starts, lengths)
            target = pad(histories, starts + 1, lengths)["item"][padded["there"]]
            batch = {k: torch.from_numpy(v) for k, v in padded.items()}
            batch |= {"target": torch.from_numpy(column[target]), "items": torch.from_numpy(known_rows)}
            yield {**batch, **draw(rng)}

    def loss(network: SequenceTraining, batch: Batch, step: int) -> torch.Tensor:
        hidden = network.sequence(network.table(batch["item"]), batch)[batch["there"]] * network.sequence.scale
        target, items = batch["target"], batch["items"]
        if not draw:
            vectors = network.table(items)
            rows = torch.arange(len(target), device=target.device)
            return softmax_loss(hidden, vectors, rows, target) / len(target)
        drawn = batch["drawn"]
        positive, negatives = network.table(items[target]), network.table(items[drawn])
        hit = target[:, None] == drawn
        return sampled_softmax_loss(hidden, positive, negatives, batch["bias"], hit) / len(target)

    each = _each(lesson, held, neural.max_length) if held is not None else None
    score = (lambda network: float(each(network).mean())) if each is not None else None
    return Task(build, batches, loss, score, GAIN, is_trained=lesson.start is not None)


def _each(lesson: Lesson, held: HeldOut, max_length: int) -> Callable[[SequenceTraining], npt.NDArray[np.float64]]:
    """What gives the NDCG of each held-out user; under `inference`."""
    known = np.bincount(held.train.item_row, minlength=lesson.n_items) > 0
    speaks = known if lesson.text is None else known | lesson.text.any(axis=1)
    histories = read_histories(held.history, speaks, tuple(lesson.actions))

    def each(network: SequenceTraining) -> npt.NDArray[np.float64]:
        device = network.table.known.device
        table = network.table(torch.arange(lesson.n_items, device=device)).cpu().numpy()
        items = torch.from_numpy(np.ascontiguousarray(table.T))

        def forward(vectors: FloatArray, batch: Arrays) -> FloatArray:
            rest = {name: torch.from_numpy(batch[name]).to(device) for name in ("action", "gap")}
            hidden: FloatArray = network.sequence(torch.from_numpy(vectors).to(device), rest).float().cpu().numpy()
            return hidden

        def of(users: IntArray) -> FloatArray:
            out = np.zeros((len(users), table.shape[1]), np.float32)
            some = histories.lengths[users] > 0
            out[some] = encode_latest(forward, table, histories, users[some], max_length)
            return np.asarray((torch.from_numpy(out) @ items).numpy())

        return user_ndcg(held, of)

    return each


def _carry(lesson: Lesson, start: Start, network: SequenceTraining) -> None:
    """Put the weights of `start` into a fresh network of the same form; what has no counterpart stays fresh.

    Actions are matched by name. A log without times reads what gaps were on average. Items with a text begin as their
    text says, and, as far as it is sure, as the item of the source that has the same text.
    """
    sequence, table, from_text = network.sequence, network.table, network.table.from_text
    assert from_text is not None  # `Start.check` saw texts
    row_of = {name: row for row, name in enumerate(start.actions, start=1)}
    with torch.no_grad():
        for name, place in sequence.state_dict().items():
            if name not in start.weights:
                continue
            saved = torch.from_numpy(np.array(start.weights[name]))
            if name == "action.weight":
                for row, action in enumerate(lesson.actions, start=1):
                    if action in row_of:
                        place[row] = saved[row_of[action]]
            else:
                place.mul_(1 - lesson.kept).add_(lesson.kept * saved)
        if sequence.gap is not None and not lesson.has_time:
            usual = np.average(start.weights["gap.weight"], axis=0, weights=start.gap_share)
            sequence.gap.weight.copy_(torch.from_numpy(usual.astype(np.float32)).expand_as(sequence.gap.weight))
        from_text.weight.copy_(torch.from_numpy(np.array(start.text_map)))
        table.own.weight.mul_(~table.has_text)
        if lesson.alike is not None:
            vectors, sure = (torch.from_numpy(array) for array in lesson.alike)
            told = from_text(table.text)
            own = sure[:, None] * (vectors * told.norm(dim=1, keepdim=True) - told)
            table.own.weight.copy_(torch.where(sure[:, None] > 0, own, table.own.weight))
    sequence.requires_grad_(lesson.fine_tune == "all")
    from_text.requires_grad_(lesson.fine_tune == "all")


class _Draw:
    """Items drawn for a batch, and what the log-Q correction adds to their logits; false when none are to be drawn."""

    def __init__(self, counts: IntArray, n: int) -> None:
        chance = counts.astype(np.float64) ** DRAW_POWER
        self._chance, self._n = chance / chance.sum(), n

    def __bool__(self) -> bool:
        return self._n > 0

    def __call__(self, rng: np.random.Generator) -> Batch:
        if not self._n:
            return {}
        drawn = rng.choice(len(self._chance), self._n, p=self._chance)
        bias = -np.log(self._n * self._chance[drawn])
        return {"drawn": torch.from_numpy(drawn), "bias": torch.from_numpy(bias.astype(np.float32))}
