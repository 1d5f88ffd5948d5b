"""One user's interests as rings: core in the middle, secondary around it, peripheral outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

from markupsafe import Markup, escape

RADII = {"core": (26.0, 62.0), "secondary": (66.0, 96.0), "peripheral": (100.0, 124.0)}
COLOURS = {"core": "#1b7f5c", "secondary": "#d49a1f", "peripheral": "#8a94a6"}
SIZE = 260.0


@dataclass(frozen=True)
class Arc:
    """One interest point of a ring: its width is its probability within the ring, `tip` is shown on hover."""

    layer: str
    weight: float
    label: str
    tip: str


def draw_rings(arcs: Sequence[Arc], centre: str, title: str) -> Markup:
    """Draw the rings as inline SVG; every text is escaped.

    >>> draw_rings([Arc("core", 1.0, "<b>", "tip")], "u1", "rings").count("<b>")
    0
    """
    half = SIZE / 2
    parts = [Markup('<svg class="rings" viewBox="0 0 {0} {0}" role="img" aria-label="{1}">').format(int(SIZE), title)]
    for layer, (inner, outer) in RADII.items():
        ring = [arc for arc in arcs if arc.layer == layer]
        parts.append(_ground(half, inner, outer))
        total = sum(max(arc.weight, 1e-6) for arc in ring)
        start = -pi / 2
        for number, arc in enumerate(ring, 1):
            sweep = 2 * pi * max(arc.weight, 1e-6) / total
            parts.append(_slice(half, inner, outer, start, start + sweep, arc, number))
            start += sweep
    parts.append(Markup('<text x="{0}" y="{1}" class="ring-user">{2}</text></svg>').format(half, half + 4, centre[:9]))
    return Markup("").join(parts)


def _ground(half: float, inner: float, outer: float) -> Markup:
    middle, width = (inner + outer) / 2, outer - inner
    shape = Markup('<circle cx="{0}" cy="{0}" r="{1:.1f}" fill="none" stroke="#eef1f5" stroke-width="{2:.1f}"/>')
    return shape.format(half, middle, width)


def _slice(half: float, inner: float, outer: float, start: float, end: float, arc: Arc, number: int) -> Markup:
    end = min(end, start + 2 * pi - 1e-3)  # a full circle would have equal ends and vanish
    large = int(end - start > pi)
    corners = [(r, a) for r, a in ((outer, start), (outer, end), (inner, end), (inner, start))]
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = [(half + r * cos(a), half + r * sin(a)) for r, a in corners]
    path = (
        f"M{x0:.2f},{y0:.2f} A{outer},{outer} 0 {large} 1 {x1:.2f},{y1:.2f} "
        f"L{x2:.2f},{y2:.2f} A{inner},{inner} 0 {large} 0 {x3:.2f},{y3:.2f} Z"
    )
    middle = (start + end) / 2
    x, y = half + (inner + outer) / 2 * cos(middle), half + (inner + outer) / 2 * sin(middle)
    mark = Markup('<text x="{0:.1f}" y="{1:.1f}" class="ring-number">{2}</text>').format(x, y + 3.5, number)
    return Markup('<g><path d="{0}" fill="{1}" class="slice"><title>{2}</title></path>{3}</g>').format(
        path, COLOURS[arc.layer], escape(f"{arc.label}: {arc.tip}"), mark if end - start > 0.18 else ""
    )
