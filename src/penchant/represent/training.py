"""The one training loop of all networks: seeded, stopped early by a later window, resumable.

A method describes what to train as a `Task`; `train` does the rest:

1. choose the number of rounds: train on what `held_out.hold_out` leaves of the log, score after every round, stop
   after `patience` rounds without a better score;
2. train a fresh network on the whole log for that many rounds (`refit`), so that the latest events shape the vectors
   too; without `refit` the weights of the best round are the result, in half the time.

Every round draws from generators seeded by (seed, round), and torch runs on one thread: the same data gives the same
bytes on any number of cores, and a run that was stopped and goes on ends like one that was not.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from penchant.config import NeuralConfig, RunOptions
from penchant.errors import ConfigError, ModelError, OutputError

Batch = Mapping[str, torch.Tensor]
Arrays = dict[str, np.ndarray[Any, Any]]

# Longer steps than this are shortened: one odd batch must not throw a recurrent network off its way.
MAX_GRADIENT_NORM = 5.0


@dataclass(frozen=True)
class Task:
    """What the loop trains.

    build: a fresh network; its weights come from torch's global generator, which the loop has seeded.
    batches: the batches of one round in the order of that round; every random choice comes from the generator given.
    loss: the mean loss of a batch, a scalar to minimise; `step` counts updates from 0 (for annealing).
    score: validation of a network in evaluation mode, higher is better; None = there is nothing to validate on.
    gain: the learning rate of this kind of network, as a multiple of `config.learning_rate`.
    is_trained: what `build` gives has learned already, so no round at all is one of the choices.
    """

    build: Callable[[], nn.Module]
    batches: Callable[[np.random.Generator], Iterable[Batch]]
    loss: Callable[[nn.Module, Batch, int], torch.Tensor]
    score: Callable[[nn.Module], float] | None = None
    gain: float = 1.0
    is_trained: bool = False


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode, on the run's device. facts: rounds, validation score, losses, scores by round."""

    network: nn.Module
    facts: Mapping[str, Any]


def train(
    whole: Task, choosing: Task | None, config: NeuralConfig, run: RunOptions, *, seed: int, name: str, data: str
) -> Trained:
    """Train a network; see the module's docstring for the policy.

    Args:
        whole: the task on the whole log.
        choosing: the same task on the earlier part, with a score; None = too little data to validate on: `whole` runs
            for `n_epochs` rounds.
        name: the method's, for the progress bar and the key of the checkpoint.
        data: fingerprint of everything the tasks read (see `array_fingerprint`).

    Raises:
        ConfigError: no such device, or the loss grew beyond all bounds.
        OutputError: `run.checkpoint_dir` can't be written.
    """
    device = pick_device(run.device)
    key = _key(name, config, seed, data, device)
    whole = replace(whole, score=None)
    with _settings(device):
        if choosing is None or choosing.score is None:
            end = _rounds(whole, config.n_epochs, config, run, device, seed, f"{name} ({config.n_epochs} rounds)", key)
            facts = {"n_rounds": end.round, "chosen_by": "n_epochs (too few events to validate on)"}
        else:
            found = _rounds(choosing, config.n_epochs, config, run, device, seed, f"{name}, choosing", f"{key}.choice")
            facts = {"n_rounds": found.best_round, "chosen_by": "validation on the latest events"}
            facts |= {"validation_ndcg": found.best_score, "score_by_round": found.scores}
            facts |= {"choice_loss_by_round": found.losses}
            end = found
            if config.refit:
                end = _rounds(whole, found.best_round, config, run, device, seed, f"{name}, whole log", key)
        end.network.load_state_dict(end.best_weights if end.best_weights else end.network.state_dict())
        facts |= {"loss_by_round": end.losses, "device": device}
    if run.checkpoint_dir is not None:
        for file in (_file(run.checkpoint_dir, key), _file(run.checkpoint_dir, f"{key}.choice")):
            file.unlink(missing_ok=True)
    return Trained(end.network.eval(), facts)


def untrained(task: Task, run: RunOptions, *, seed: int, why: str) -> Trained:
    """The network as `task.build` gives it, in evaluation mode; for what has learned elsewhere."""
    device = pick_device(run.device)
    with _settings(device):
        torch.manual_seed(seed)
        network = task.build().to(device)
    return Trained(network.eval(), {"n_rounds": 0, "chosen_by": why, "device": device})


def pick_device(device: str) -> str:
    """Return "cpu" or "cuda" for a run's device; "auto" takes CUDA where it is there.

    Raises:
        ConfigError: an unknown device, or CUDA asked for and not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"run.device: must be auto, cpu or cuda. Got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("run.device: 'cuda' was asked for and torch finds no CUDA device; use cpu or auto")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def inference(network: nn.Module, device: str) -> Iterator[None]:
    """Evaluation mode without gradients, on one thread: what every use of a trained network runs under."""
    was_training = network.training
    network.to(device).eval()
    with _one_torch_thread(), torch.inference_mode():
        yield
    network.train(was_training)


def weights_to_arrays(network: nn.Module) -> Arrays:
    """The weights under "weights.<name>", as they go into `Parts.arrays`."""
    return {f"weights.{k}": v.detach().cpu().numpy().copy() for k, v in network.state_dict().items()}


def load_weights(network: nn.Module, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Put saved weights into a network of the same build.

    Raises:
        ModelError: a weight is missing or of another shape.
    """
    for name, place in network.state_dict().items():
        saved = arrays.get(f"weights.{name}")
        if saved is None or tuple(saved.shape) != tuple(place.shape):
            got = "missing" if saved is None else f"of shape {saved.shape}, must be {tuple(place.shape)}"
            raise ModelError(f"network: the saved weight '{name}' is {got}; fit the model again")
        place.copy_(torch.from_numpy(np.array(saved)))


def array_fingerprint(*arrays: np.ndarray[Any, Any] | None) -> str:
    """Short hash of arrays: equal data, equal fingerprint.

    >>> array_fingerprint(np.zeros(2)) == array_fingerprint(np.zeros(2)) != array_fingerprint(np.zeros((2, 1)))
    True
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


@dataclass
class _State:
    """Where a run of rounds stands."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    round: int = 0
    step: int = 0
    best_round: int = 0
    best_score: float = -np.inf
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def _rounds(
    task: Task, n_rounds: int, config: NeuralConfig, run: RunOptions, device: str, seed: int, title: str, key: str
) -> _State:
    torch.manual_seed(seed)
    network = task.build().to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=task.gain * config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    state = _State(network, optimiser)
    file = _file(run.checkpoint_dir, key) if run.checkpoint_dir is not None else None
    if file is not None and file.is_file():
        _read_state(file, state)
    if task.is_trained and task.score is not None and not state.scores:
        _judge(task.score, state, device)
    with _bar(title, n_rounds, run.progress) as tell:
        while state.round < n_rounds and not _is_over(state, task, config):
            _one_round(task, state, device, seed)
            if task.score is not None:
                _judge(task.score, state, device)
            if file is not None:
                _write_state(file, state)
            tell(state)
    return state


def _is_over(state: _State, task: Task, config: NeuralConfig) -> bool:
    return task.score is not None and state.round - state.best_round >= config.patience


def _one_round(task: Task, state: _State, device: str, seed: int) -> None:
    torch.manual_seed(_seed_of(seed, state.round))
    state.network.train()
    total, n_batches = 0.0, 0
    for batch in task.batches(np.random.default_rng([seed, state.round])):
        with torch.autocast("cuda", torch.bfloat16, enabled=device == "cuda"):
            loss = task.loss(state.network, {k: v.to(device) for k, v in batch.items()}, state.step)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), MAX_GRADIENT_NORM)
        state.optimiser.step()
        total, n_batches, state.step = total + loss.item(), n_batches + 1, state.step + 1
    state.round += 1
    state.losses.append(total / max(1, n_batches))
    if not np.isfinite(total):
        raise ConfigError(
            f"represent.neural: the loss is not finite in round {state.round}; "
            "lower represent.neural.learning_rate, or look for huge values in the vectors given"
        )


def _judge(score: Callable[[nn.Module], float], state: _State, device: str) -> None:
    with inference(state.network, device):
        value = float(score(state.network))
    state.scores.append(value)
    if value > state.best_score:
        state.best_score, state.best_round = value, state.round
        state.best_weights = {k: v.detach().clone() for k, v in state.network.state_dict().items()}


def _seed_of(seed: int, number: int) -> int:
    """A seed for torch from ours and a round, unlike those of near rounds and near seeds."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


@contextmanager
def _settings(device: str) -> Iterator[None]:
    """One thread, deterministic kernels, and torch's own generators put back afterwards."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    devices = range(torch.cuda.device_count()) if device == "cuda" else []
    with torch.random.fork_rng(devices), _one_torch_thread(), warnings.catch_warnings():
        # some CUDA kernels have no deterministic form: there the same seed gives nearly the same weights
        warnings.filterwarnings("ignore", message=".*deterministic", category=UserWarning)
        torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
        torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it has not written
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=only_warn)
            torch.utils.deterministic.fill_uninitialized_memory = filled


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums, and so the last bits, would follow the number of threads
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@contextmanager
def _bar(title: str, n_rounds: int, progress: bool) -> Iterator[Callable[[_State], None]]:
    if not progress:
        yield lambda _state: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        row = bar.add_task(title, total=n_rounds)

        def tell(state: _State) -> None:
            score = f", NDCG {state.scores[-1]:.4f}" if state.scores else ""
            bar.update(row, completed=state.round, description=f"{title}: loss {state.losses[-1]:.3f}{score}")

        yield tell


def _key(name: str, config: NeuralConfig, seed: int, data: str, device: str) -> str:
    told = [name, config.model_dump(), seed, data, device, str(torch.__version__)]
    return f"{name}-{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]}"


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npz"


def _write_state(file: Path, state: _State) -> None:
    """Write beside, then rename: a crash leaves the state of the round before whole."""
    told = {k: getattr(state, k) for k in ("round", "step", "best_round", "best_score", "losses", "scores")}
    arrays: Arrays = {"told": np.array(json.dumps(told)), **weights_to_arrays(state.network)}
    arrays |= {f"best.{k}": v.cpu().numpy() for k, v in state.best_weights.items()}
    for row, moments in state.optimiser.state_dict()["state"].items():
        arrays |= {f"moment.{row}.{k}": v.cpu().numpy() for k, v in moments.items()}
    beside = file.with_name(f".{file.name}.writing-{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as handle:
            np.savez(handle, allow_pickle=False, **arrays)
        beside.replace(file)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise OutputError(
            f"{file}: the training state can't be written ({error.strerror or error}); choose another checkpoint folder"
        ) from error


def _read_state(file: Path, state: _State) -> None:
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        told = json.loads(str(arrays["told"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{file}: the training state can't be read ({error}); delete it to start anew") from None
    load_weights(state.network, arrays)
    for name, value in told.items():
        setattr(state, name, value)
    state.best_weights = {k[5:]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("best.")}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name in sorted(k for k in arrays if k.startswith("moment.")):
        _, row, kind = name.split(".")
        moments.setdefault(int(row), {})[kind] = torch.from_numpy(arrays[name])
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": moments, "param_groups": groups})
