"""What a part must offer to be a part: one to three methods each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import Events, Items, Parts, Vectors

FloatArray = npt.NDArray[np.float32]


class Encoder(Protocol):
    """Texts to L2-normalised vectors; an empty text gives a row of zeros.

    name: what ran, with its sizes. fitted: whether it is ready to encode (a pretrained one always is).
    """

    @property
    def name(self) -> str: ...

    @property
    def fitted(self) -> bool: ...

    def fit(self, texts: list[str]) -> None: ...

    def encode(self, texts: list[str]) -> FloatArray: ...

    def to_parts(self) -> Parts: ...


class Representation(Protocol):
    """Users and items in one space, learned from behaviour: a user's next items have the largest dot products.

    name: what was fitted, with its sizes. item_vectors: (n_items, d) float32, zeros for items it says nothing of; a
    method with a bias gives it a column of its own. facts: what a reader of the model should know (loss, rounds).
    `user_vectors` gives (events.n_users, d) float32 from a log over the same items, not necessarily the fit's: zeros
    for users without a liked event. Classes also offer `from_parts(parts, run)`; `to_parts().config["method"]` is their
    row in the table of methods.
    """

    name: str
    item_vectors: FloatArray
    facts: Mapping[str, Any]

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None: ...

    def user_vectors(self, events: Events) -> FloatArray: ...

    def to_parts(self) -> Parts: ...


class Ranks(Protocol):
    """What ranking needs of a fitted scorer: see `Scorer.score`."""

    def score(self, user_rows: npt.NDArray[np.int32], history: sp.csr_array) -> FloatArray: ...


class Scorer(Ranks, Protocol):
    """One signal: scores of all items for some users, from a log alone (peers and candidate signals alike).

    `history` is (n_users, n_items), the past that scores follow, entries used as given: 0/1 is the textbook form,
    decayed entries favour what is recent. It need not be the fit's log.
    `score` gives (len(user_rows), n_items) float32, possibly read-only; higher is better.
    """

    name: str

    def fit(self, events: Events, n_items: int) -> None: ...
