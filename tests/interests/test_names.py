import numpy as np
import pytest
import scipy.sparse as sp

from penchant.interests.names import name_nodes
from penchant.interests.terms import find_terms
from tests.interests.mixtures import items_of


def named(titles, leaves, parents=None, *, texts=None, categories=None, n_keywords=8):
    """Name a two-level tree; `leaves` = leaf of each item, `parents` = parent of each leaf (0, 1, ...)."""
    n_leaves = max(leaves) + 1
    parents = np.array(parents or [0] * n_leaves)
    n_top = parents.max() + 1
    parent_row = np.r_[parents + n_leaves, np.full(n_top, -1)].astype(np.int32)
    level = np.r_[np.full(n_leaves, 2), np.full(n_top, 1)].astype(np.int32)
    n = len(titles)
    membership = sp.csr_array((np.ones(n, np.float32), (np.arange(n), leaves)), shape=(n, n_leaves))
    nodes_of = [[leaves.index(leaf)] for leaf in range(n_leaves)] + [
        [i for i in range(n) if parents[leaves[i]] == p] for p in range(n_top)
    ]
    medoids = np.array([rows[0] for rows in nodes_of], np.int32)
    return name_nodes(
        items_of(titles, texts, categories),
        membership,
        parent_row,
        level,
        np.ones(n, np.float32),
        medoids,
        n_keywords=n_keywords,
    )


SHOES = ["Trail running shoe", "Trail running vest", "Road running shoe", "Night running lamp"]
BOOTS = ["Hiking boots", "Leather hiking boots", "Hiking boots for snow", "Winter hiking boots"]
PIANO = ["Piano bench", "Grand piano", "Piano stool", "Upright piano"]
DRUMS = ["Snare drum", "Drum sticks", "Bass drum", "Drum kit"]


def test_names_cover_and_tell_apart():
    got = named([*SHOES, *BOOTS, *PIANO, *DRUMS], [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4, [0, 0, 1, 1])
    assert "running" in got.names[0].lower()
    assert got.names[1].lower().startswith("hiking boots")
    assert got.names[2:4] == ["Piano", "Drum"]
    assert got.coverage[:4].tolist() == [1, 1, 1, 1]
    assert got.distinctiveness[:4].tolist() == [1, 1, 1, 1]


def test_a_parent_is_called_by_what_its_children_share():
    music = [f"{a} music {b}" for a, b in zip("abcd", [*PIANO], strict=True)] + [f"Music {d}" for d in DRUMS]
    outdoor = [f"{t} outdoor" for t in [*SHOES, *BOOTS]]
    got = named([*music, *outdoor], [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4, [0, 0, 1, 1])
    assert got.names[4:] == ["Music", "Outdoor"]
    assert len({name.lower() for name in got.names}) == 6


def test_parents_without_common_words_join_their_children():
    got = named([*SHOES, *BOOTS, *PIANO, *DRUMS], [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4, [0, 0, 1, 1])
    assert got.names[5] == "Piano / Drum"
    assert set(got.names[4:]).isdisjoint(got.names[:4])


def test_an_only_child_and_its_parent_differ():
    got = named(PIANO, [0] * 4)
    assert got.names == ["Piano", "All of Piano"]


def test_no_word_is_repeated_within_a_name_or_between_keywords():
    got = named([*SHOES, *BOOTS], [0] * 4 + [1] * 4, [0, 0])
    for words in got.keywords:
        flat = [w for word in words for w in word.split()]
        assert len(flat) == len(set(flat))


def test_equal_leaves_get_different_names():
    titles = ["Blue cup small", "Blue cup large", "Blue cup thin", "Blue cup wide"] * 3
    got = named(titles, [0] * 4 + [1] * 4 + [2] * 4)
    assert len(set(got.names)) == 4


def test_names_that_only_differ_in_order_are_the_same_name():
    titles = ["red cup"] * 5 + ["cup red"] * 5 + ["piano"] * 5
    keys = {
        tuple(sorted(n.lower().replace("·", " ").split())) for n in named(titles, [0] * 5 + [1] * 5 + [2] * 5).names
    }
    assert len(keys) == 4


def test_categories_are_evidence():
    got = named(
        ["aa x", "bb y", "cc z", "dd w", "ee v", "ff u"],
        [0] * 3 + [1] * 3,
        categories=[["Garden_Tools"]] * 3 + [["Kitchen"]] * 3,
    )
    assert got.names[:2] == ["Garden tools", "Kitchen"]


def test_spelling_is_that_of_the_titles_unless_shouted():
    got = named(
        ["iPhone case", "iPhone cable", "New iPhone", "WHITE LANTERN", "RED LANTERN", "LANTERN OF TIN"],
        [0] * 3 + [1] * 3,
    )
    assert got.names[0].startswith("iPhone")
    assert got.names[1].startswith("Lantern")


def test_personal_data_and_markup_never_stand_in_a_name():
    dirty = [
        "Write ann@mail.example <b>now</b>",
        "Write ann@mail.example <script>x</script> call 0171 555 12345",
        "Write ann@mail.example see https://bad.example/x @handle 9988776655",
    ]
    got = named([*dirty, *PIANO], [0] * 3 + [1] * 4)
    text = " ".join([*got.names, *(w for words in got.keywords for w in words)]).lower()
    for bad in ("@", "<", ">", "http", "script", "example", "handle", "12345", "9988776655"):
        assert bad not in text


def test_nodes_without_words_are_named_after_an_item():
    got = named([None] * 6, [0] * 3 + [1] * 3)
    assert got.names == ["Interest of item x0", "Interest of item x3", "Interests around item x0"]
    assert got.coverage.tolist() == [0, 0, 0]
    assert got.keywords == [[], [], []]
    titled = named(["Zxq <b>1</b>", "Vbn", "Wer", "Tyu", "Opi", "Asd"], [0] * 3 + [1] * 3)
    assert titled.names[:2] == ["Like Zxq 1", "Like Tyu"]


def test_chinese_names():
    got = named(
        ["科幻电影 收藏", "科幻电影 海报", "科幻电影 原声", "跑步 鞋子", "跑步 手表", "跑步 背心"], [0] * 3 + [1] * 3
    )
    assert got.names[0].startswith("科幻电影")
    assert got.names[1].startswith("跑步")


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_keywords_than_asked(limit):
    got = named([*SHOES, *BOOTS], [0] * 4 + [1] * 4, n_keywords=limit)
    assert max(map(len, got.keywords)) <= limit


def test_phrases_that_only_descriptions_have_are_no_candidates():
    found = find_terms(items_of(["Red cup", "Red jug"] * 3, ["tested by people, tiny spout"] * 6))
    assert "red" in found.words
    assert "spout" in found.words
    assert "tiny spout" not in found.words


def test_the_same_names_in_another_order_of_items():
    titles, leaves = [*SHOES, *BOOTS, *PIANO], [0] * 4 + [1] * 4 + [2] * 4
    turn = np.random.default_rng(0).permutation(len(titles))
    assert named(titles, leaves).names[:3] == named([titles[i] for i in turn], [leaves[i] for i in turn]).names[:3]
