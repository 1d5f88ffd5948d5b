"""Sums in one order, so that the same data gives the same bytes on any number of cores."""

from __future__ import annotations

from typing import Any, Literal


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
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, api)
