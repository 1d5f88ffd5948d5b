"""Threads, and sums in one order: the same data gives the same bytes on any number of cores."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, TypeVar

T = TypeVar("T")
R = TypeVar("R")
MOST = 4  # threads of our own, at most: each holds a batch


def one_thread(api: Literal["blas", "openmp"] | None = None) -> Any:
    """Limit BLAS and OpenMP to one thread, as a context manager.

    threadpoolctl limits only libraries that are loaded already; SciPy brings a BLAS and scikit-learn an OpenMP of its
    own, so both are loaded first: otherwise the first call of a process would run on other threads than the second.

    Args:
        api: limit only this kind; None limits both.

    >>> with one_thread():
    ...     pass
    """
    import sklearn.cluster  # noqa: F401

    return _libraries(len(sys.modules)).limit(limits=1, user_api=api)


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """The BLAS and OpenMP libraries of this process: looking takes milliseconds, and each comes by an import."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def n_threads() -> int:
    """Threads of our own: the cores this process may use, no more than OMP_NUM_THREADS says, at most MOST."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, MOST, int(asked) if asked.isdigit() else cores))


def in_batches(work: Callable[[T], R], batches: Iterable[T], threads: int) -> Iterator[R]:
    """Do `work` for every batch, `threads` at once, each on one BLAS thread; results in the order of the batches.

    No more than `threads` results wait to be taken, so memory is bounded as long as the caller keeps none.

    >>> list(in_batches(lambda n: n * n, range(4), threads=2))
    [0, 1, 4, 9]
    """
    if threads <= 1:
        with one_thread("blas"):
            yield from map(work, batches)
        return
    todo = iter(batches)
    with one_thread(), ThreadPoolExecutor(threads, initializer=_stay_single) as pool:
        running = deque(pool.submit(work, batch) for batch in islice(todo, threads))
        while running:
            done = running.popleft().result()
            running.extend(pool.submit(work, batch) for batch in islice(todo, 1))
            yield done


def _stay_single() -> None:
    """OpenMP counts threads for each thread that calls it."""
    one_thread("openmp").__enter__()
