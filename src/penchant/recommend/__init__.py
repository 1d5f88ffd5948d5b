"""Recommendations in two stages: candidates from many signals, then the method that did best on the log's own past.

Read `fit.py` for the order of things. `explain` puts a list into words.
"""

from penchant.recommend.explain import explain
from penchant.recommend.fit import fit_recommender
from penchant.recommend.recommender import Recommender, check_k

__all__ = ["Recommender", "check_k", "explain", "fit_recommender"]
