"""Fuse: thin first version."""

from __future__ import annotations

import numpy as np

from penchant.config import RepresentConfig
from penchant.data import Items, Vectors


def fuse(text: Vectors | None, behaviour: Vectors | None, items: Items, config: RepresentConfig) -> Vectors:
    """Concatenate by weights."""
    parts = []
    if text is not None:
        parts.append(text.values * np.sqrt(config.text_weight))
    if behaviour is not None:
        parts.append(behaviour.values * np.sqrt(config.behaviour_weight))
    values = np.hstack(parts) if parts else np.zeros((len(items), 1), np.float32)
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    values = np.divide(values, norm, out=np.zeros_like(values), where=norm > 0).astype(np.float32)
    return Vectors(values, " + ".join(p.name for p in (text, behaviour) if p is not None) or "nothing")
