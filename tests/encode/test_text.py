"""Words and phrases, in English, Chinese and both."""

from __future__ import annotations

from penchant.text import foreign_share, segment, tokenise


def test_phrases_neither_begin_nor_end_with_stop_words_numbers_or_single_letters():
    assert tokenise(["the set of 6 old mugs"]) == [["set", "old", "old mugs", "mugs"]]


def test_phrases_cross_no_punctuation_and_no_lone_dash():
    found = tokenise(["red, green apple - pear"])[0]
    assert found == ["red", "green", "green apple", "apple", "pear"]


def test_hyphens_and_apostrophes_stay_inside_words():
    assert tokenise(["T-light holder, children’s"]) == [["t-light", "t-light holder", "holder", "children's"]]


def test_inner_stop_words_are_kept_and_repeats_too():
    found = tokenise(["salt & pepper & salt"])[0]
    assert found == ["salt", "salt and pepper", "pepper", "pepper and salt", "salt"]


def test_chinese_words_of_two_characters_without_stop_words_and_without_phrases():
    assert tokenise(["我们喜欢的科幻电影"]) == [["喜欢", "科幻电影"]]


def test_mixed_texts_keep_both_and_build_no_phrase_across_scripts():
    found = tokenise(["苹果 red apple 手机壳"])[0]
    assert {"苹果", "手机", "red", "red apple", "apple"} <= set(found)
    assert not any("苹" in phrase and "red" in phrase for phrase in found)


def test_rows_stay_in_place_around_empty_texts():
    assert tokenise(["", "apple", "2010", "of the", "pear"]) == [[], ["apple"], [], [], ["pear"]]
    assert tokenise([]) == []


def test_max_words_bounds_the_phrases():
    assert tokenise(["big red apple"], max_words=1) == [["big", "red", "apple"]]


def test_segment_cuts_before_lowering():
    assert segment(["T恤 ABC", ""]) == ["t恤 abc", ""]


def test_shares_count_only_texts_with_letters():
    assert foreign_share(["мир", "amélie", "42"]) == 0.5
    assert foreign_share([]) == 0.0
