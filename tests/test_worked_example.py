"""The worked example: what it prints agrees with values worked out by hand, and the page shows just that."""

from __future__ import annotations

import re
import runpy
from fractions import Fraction
from math import log, sqrt
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = runpy.run_path(str(ROOT / "examples" / "worked_example.py"))
TEXT = "\n\n".join(EXAMPLE["sections"]())
BLOCKS = {block.partition("\n")[0]: block.partition("\n")[2] for block in TEXT.split("\n\n")}

R2, R3 = sqrt(2), sqrt(3)
TEA, BREAD = log(5 / 3) + 1, log(5 / 4) + 1  # idf of tea and jam (two users), of bread and milk (three)
U1, U2, U3, U4 = sqrt(TEA**2 + BREAD**2), sqrt(TEA**2 + 2 * BREAD**2), sqrt(2 * TEA**2 + BREAD**2), BREAD * R2
UNIT = [
    [TEA / U1, 0, BREAD / U1, 0],
    [0, TEA / U2, BREAD / U2, BREAD / U2],
    [TEA / U3, TEA / U3, 0, BREAD / U3],
    [0, 0, 1 / R2, 1 / R2],
]


def numbers(block: str, row: str = r"u\d") -> list[list[float]]:
    """The table of a block: the numbers of its rows of this name."""
    found = re.findall(rf"^  {row}  (.+)$", BLOCKS[block], flags=re.M)
    return [[float(Fraction(x)) for x in line.split()] for line in found]


def near(expected: list[list[float]]) -> object:
    """Equal as far as four decimals tell."""
    return [pytest.approx(row, abs=5.1e-5) for row in expected]


def symmetric(u12: float, u13: float, u14: float, u23: float, u24: float, u34: float) -> object:
    """A table of distances from its six different ones."""
    return near([[0, u12, u13, u14], [u12, 0, u23, u24], [u13, u23, 0, u34], [u14, u24, u34, 0]])


def test_the_page_shows_just_what_the_script_prints(capsys: pytest.CaptureFixture[str]) -> None:
    EXAMPLE["main"]()
    page = (ROOT / "docs" / "worked-example.md").read_text(encoding="utf-8")
    shown = "\n\n".join(re.findall(r"```text\n(.*?)\n```", page, flags=re.S))
    assert shown == capsys.readouterr().out.rstrip("\n"), "print it again and put the new blocks into the page"


def test_bag_and_tfidf() -> None:
    assert numbers("BAG OF ITEMS") == [[1, 0, 1, 0], [0, 1, 1, 1], [1, 1, 0, 1], [0, 0, 1, 1]]
    assert numbers("IDF", "users") == [[2, 2, 3, 3]]
    assert numbers("IDF", "idf  ") == near([[TEA, TEA, BREAD, BREAD]])
    lengths = [row[-1:] for row in numbers("WEIGHTS, AND THEIR LENGTH")]
    assert lengths == near([[U1], [U2], [U3], [U4]])
    assert numbers("TF-IDF (WEIGHTS AT LENGTH 1)") == near(UNIT)


def test_distances() -> None:
    assert numbers("SQUARED EUCLIDEAN DISTANCE, BAG") == symmetric(3, 3, 2, 2, 1, 3)
    assert numbers("EUCLIDEAN DISTANCE, BAG") == symmetric(R3, R3, R2, R2, 1, R3)
    apart = 1 - 1 / sqrt(6)  # one item in common, two and three taken
    assert numbers("COSINE DISTANCE, BAG") == symmetric(apart, apart, 1 / 2, 1 / 3, 1 - 2 / sqrt(6), apart)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    cosine = [1 - sum(a * b for a, b in zip(UNIT[i], UNIT[j], strict=True)) for i, j in pairs]
    assert numbers("COSINE DISTANCE, TF-IDF") == symmetric(*cosine)
    assert numbers("EUCLIDEAN DISTANCE, TF-IDF") == symmetric(*(sqrt(2 * c) for c in cosine))


def test_every_step_of_kmeans() -> None:
    one, two = "K-MEANS, START A (u1 and u4)", "K-MEANS, START B (mean of u1, u2; mean of u3, u4)"
    assert numbers(one)[:4] == near([[0, 2, 1], [3, 1, 2], [3, 3, 1], [2, 0, 2]])
    assert numbers(one)[4:] == near([[3 / 4, 9 / 4, 1], [7 / 4, 1 / 4, 2], [3 / 4, 9 / 4, 1], [7 / 4, 1 / 4, 2]])
    assert numbers(two)[:4] == near([[3 / 4, 7 / 4, 1], [3 / 4, 3 / 4, 1], [7 / 4, 3 / 4, 2], [3 / 4, 3 / 4, 1]])
    assert numbers(two)[4:] == near([[1, 3, 1], [2 / 3, 2, 1], [2, 0, 2], [1 / 3, 3, 1]])
    centres = {
        one: ["(1, 1/2, 1/2, 1/2)", "(0, 1/2, 1, 1)"],
        two: ["(1/3, 1/3, 1, 2/3)", "(1, 1, 0, 1)"],
    }
    for block, expected in centres.items():
        assert re.findall(r"centre \d: (.+)", BLOCKS[block]) == expected * 2
        assert re.findall(r"SSE: (.+)", BLOCKS[block]) == ["2", "2"]
        assert BLOCKS[block].endswith("nothing moved: done")


def test_all_splits_and_the_silhouette() -> None:
    def s(a: float, b: float) -> float:
        return (b - a) / max(a, b)

    alone = (0 + s((R2 + 1) / 2, R3) + s((R2 + R3) / 2, R3) + s((1 + R3) / 2, R2)) / 4
    halves = (s(R3, (R3 + R2) / 2) + s(R3, (R2 + 1) / 2) + s(R3, (R3 + R2) / 2) + s(R3, (R2 + 1) / 2)) / 4
    best = [s(R3, (R3 + R2) / 2), s(1, (R3 + R2) / 2)]
    crossed = (2 * s(R2, R3) + 2 * s(R2, (1 + R3) / 2)) / 4
    # u4 alone: u1 (a = R3, b = R2), u2 (a = (R3 + R2) / 2, b = 1), u3 (a = (R3 + R2) / 2, b = R3)
    loose = (0 + s(R3, R2) + s((R3 + R2) / 2, 1) + s((R3 + R2) / 2, R3)) / 4
    found = {
        name: (Fraction(sse), float(silhouette))
        for name, sse, silhouette in re.findall(
            r"^  (u.+?\d)  +(\S+) +(-?\d\.\d+)$", BLOCKS["ALL WAYS TO MAKE TWO CLUSTERS"], flags=re.M
        )
    }
    expected = {
        "u1 | u2 u3 u4": (2, alone),
        "u1 u2 | u3 u4": (3, halves),
        "u1 u3 | u2 u4": (2, sum(best) / 2),
        "u1 u4 | u2 u3": (2, crossed),
        "u1 u2 u3 | u4": (Fraction(8, 3), loose),
        "u1 u2 u4 | u3": (2, alone),
        "u1 u3 u4 | u2": (Fraction(8, 3), loose),
    }
    assert found.keys() == expected.keys()
    assert {n: v[0] for n, v in found.items()} == {n: v[0] for n, v in expected.items()}
    assert {n: v[1] for n, v in found.items()} == pytest.approx({n: v[1] for n, v in expected.items()}, abs=5.1e-5)
    assert BLOCKS["ALL WAYS TO MAKE TWO CLUSTERS"].endswith("cluster(): SSE 2")

    block = "SILHOUETTE OF u1 u3 | u2 u4"
    between = (R3 + R2) / 2
    assert numbers(block) == near([[R3, between, best[0]], [1, between, best[1]]] * 2)
    assert BLOCKS[block].endswith(f"mean: {sum(best) / 2:.4f}")


def test_tags_and_recommendations() -> None:
    shares = [numbers("MEAN SHARES", name)[0] for name in ("cluster 1", "cluster 2", "all      ")]
    assert shares == near(
        [[5 / 12, 1 / 6, 1 / 4, 1 / 6], [0, 1 / 6, 5 / 12, 5 / 12], [5 / 24, 1 / 6, 1 / 3, 7 / 24]],
    )
    assert BLOCKS["TAGS"].splitlines() == [
        "cluster 1 (u1 u3): tea (lift 2); name: tea",
        "cluster 2 (u2 u4): milk (lift 10/7), bread (lift 5/4); name: milk + bread",
    ]
    assert BLOCKS["RECOMMENDATIONS"].splitlines() == [
        "u1: jam (1/2), milk (1/2)",
        "u2: nothing new in this cluster",
        "u3: bread (1/2)",
        "u4: jam (1/2)",
    ]


def test_the_same_end_on_tfidf_rows() -> None:
    def square(i: int, j: int) -> float:
        return sum((a - b) ** 2 for a, b in zip(UNIT[i], UNIT[j], strict=True))

    sse = square(0, 2) / 2 + square(1, 3) / 2  # of two rows round their mean: half their squared distance

    def s(user: int, own: int, others: tuple[int, int]) -> float:
        a, b = sqrt(square(user, own)), sum(sqrt(square(user, o)) for o in others) / 2
        return (b - a) / max(a, b)

    silhouette = (s(0, 2, (1, 3)) + s(2, 0, (1, 3)) + s(1, 3, (0, 2)) + s(3, 1, (0, 2))) / 4
    line = BLOCKS["THE SAME ON TF-IDF ROWS, START A"]
    assert line == f"u1 u3 | u2 u4: SSE {sse:.4f}, silhouette {silhouette:.4f}"
