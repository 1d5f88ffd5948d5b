"""Kinds of recommendation beside items for a user: one file a kind, each a function over a fitted model.

`similar` items like an item · `for_segment` one list for a segment · `like_users` users like a user, and communities of
an interest · `reach` who should hear of an item · `path` lists in which prerequisites come first. `Model` has a thin
method for each; docs/recommendations.md says how each is made.
"""

from penchant.kinds.for_segment import segment_list
from penchant.kinds.like_users import communities, similar_users
from penchant.kinds.path import learning_path
from penchant.kinds.reach import Reach, audience_for
from penchant.kinds.similar import similar_items

__all__ = [
    "Reach",
    "audience_for",
    "communities",
    "learning_path",
    "segment_list",
    "similar_items",
    "similar_users",
]
