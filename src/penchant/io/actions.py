"""What the caller's actions are called here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.config import IoConfig
from penchant.errors import DataError, did_you_mean

# An action column has few values; more mean that it is another column (a page, an id, a text).
MAX_ACTIONS = 1000

_NAMES = {
    "view": """viewed pv pageview pageviewed productview productviewed viewproduct viewitem itemview itemviewed
        detail detailview viewdetail viewcontent contentview contentviewed open opened visit visited browse browsed
        浏览 查看""",
    "click": "clicked clk tap tapped clickout clickitem clickedout 点击",
    "search": "searched query queried 搜索",
    "impression": "impressions imp impressed shown show display displayed exposure exposed 曝光 展示",
    "like": "liked likes thumbsup upvote upvoted favorite favourite favorited favourited fav heart star 点赞 喜欢",
    "bookmark": "bookmarked bookmarks collect collected 收藏",
    "save": "saved",
    "comment": "commented comments commentcreated createcomment reply replied 评论",
    "share": "shared shares repost reposted retweet retweeted 分享 转发",
    "follow": "followed subscribe subscribed 关注",
    "play": "played stream streamed 播放",
    "listen": "listened scrobble scrobbled 收听",
    "watch": "watched 观看",
    "read": "reading 阅读",
    "download": "downloaded 下载",
    "add_to_cart": """addedtocart cart cartadd addcart addtobasket addtobag basket add2cart atc 加购 加入购物车""",
    "remove_from_cart": "removedfromcart removecart cartremove removefrombasket",
    "wishlist": "addtowishlist wish wished watchlist toread wanttoread towatch wanttowatch 心愿单",
    "purchase": """purchased purchases transaction transactions buy bought order ordered orders orderplaced checkout
        checkedout sale sold pay paid payment conversion 购买 下单 支付""",
    "rate": "rated rating ratings 评分",
    "review": "reviewed reviews reviewcreated",
    "tag": "tagged tags 标签",
    "hide": "hidden notinterested block blocked mute muted 隐藏 不感兴趣",
    "dislike": "disliked dislikes thumbsdown downvote downvoted 不喜欢 踩",
    "return": "returned returns refund refunded 退货 退款",
    "cancel": "cancelled canceled cancellation ordercancelled ordercanceled 取消",
    "skip": "skipped 跳过",
    "unfollow": "unfollowed unsubscribe unsubscribed 取消关注",
    "unlike": "unliked",
    "adjust": "adjusted adjustment",
}
_CANONICAL = {key: name for name, keys in _NAMES.items() for key in (name.replace("_", ""), *keys.split())}


@dataclass(frozen=True)
class Actions:
    """codes: (n,) int16 into `names` (sorted); weights: (n_names,) f32; named: as the log has it -> as we call it."""

    codes: npt.NDArray[np.int16]
    names: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    named: Mapping[str, str]
    unknown: tuple[str, ...]


def action_name(given: str) -> str:
    """The usual name of an action, or its own in snake form.

    >>> action_name("Add-To-Cart"), action_name("comment_created"), action_name("Poke Friend")
    ('add_to_cart', 'comment', 'poke_friend')
    """
    key = "".join(c for c in given.casefold() if c.isalnum())
    if key in _CANONICAL:
        return _CANONICAL[key]
    spaced = "".join(c if c.isalnum() else " " for c in given.casefold())
    return "_".join(spaced.split()) or given.strip()


def code_actions(raw: pl.Series | None, n: int, config: IoConfig, where: str, default: str) -> Actions:
    """Name and weigh the actions of a log; blank ones are `default`.

    An action that `config.action_weights` names keeps its own name and that weight; others take the usual name and
    its default weight; an unknown one takes `unknown_action_weight`.

    Raises:
        DataError: more distinct actions than an action column can have; a weight for an action that is not there.
    """
    weights = config.weight_of()
    own = {"".join(c for c in k.casefold() if c.isalnum()): k for k in config.action_weights}

    def name_of(given: str) -> str:
        return own.get("".join(c for c in given.casefold() if c.isalnum()), action_name(given))

    if raw is None:
        texts = pl.Series("action", [default]).new_from_index(0, n)
    else:
        texts = raw.cast(pl.String).str.strip_chars()
    given = texts.drop_nulls().unique().sort().to_list()
    if len(given) > MAX_ACTIONS:
        raise DataError(
            f"{where}: column '{texts.name}', taken for the action, has {len(given):,} different values (allowed: "
            f"{MAX_ACTIONS:,}); name the right one with --columns action=..., or none with --columns action="
        )
    named = {g: name_of(g) if g else name_of(default) for g in given}
    blank = name_of(default)
    names = tuple(sorted({*named.values(), blank} if texts.null_count() else set(named.values())))
    position = {name: i for i, name in enumerate(names)}
    codes = texts.replace_strict(
        pl.Series(given, dtype=pl.String),
        pl.Series([position[named[g]] for g in given], dtype=pl.Int16),
        default=position.get(blank, 0),
        return_dtype=pl.Int16,
    )
    unknown = tuple(a for a in names if a not in weights)
    weight = np.array([weights.get(a, config.unknown_action_weight) for a in names], np.float32)
    return Actions(codes.to_numpy(), names, weight, named, unknown)


def recode(actions: Actions, mask: npt.NDArray[np.bool_], name: str, weight: float) -> Actions:
    """Give the events under a mask another action, which may be new."""
    if not mask.any():
        return actions
    names = tuple(sorted({*actions.names, name}))
    to = np.array([names.index(a) for a in actions.names], np.int16)
    codes = to[actions.codes]
    codes[mask] = names.index(name)
    by_name = {name: weight, **dict(zip(actions.names, actions.weights.tolist(), strict=True))}
    weights = np.array([by_name[a] for a in names], np.float32)
    return Actions(codes, names, weights, actions.named, actions.unknown)


def unused_weights(names: tuple[str, ...], config: IoConfig) -> dict[str, str]:
    """Weights the caller stated for actions that the log does not have, with the nearest it has."""
    return {a: did_you_mean(a, list(names)) for a in sorted(config.action_weights) if a not in names}
