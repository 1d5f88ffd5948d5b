"""Which of the caller's columns means which of our words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from penchant.errors import ConfigError, DataError, did_you_mean

Kind = Literal["events", "items", "attributes", "feedback"]

# Keys are compared without case and separators: user_id, userId and "User ID" are all "userid".
_USER = """user userid uid username userkey customer customerid custid clientid visitorid visitor memberid member
accountid personid reviewerid profileid subscriberid cookieid deviceid buyerid shopperid 用户 用户id 会员id 买家id"""
_ITEM = """item itemid iid itemkey movieid filmid bookid asin isbn productid prodid sku skuid stockcode articleid aid
contentid trackid songid albumid artistid videoid newsid businessid gameid appid adid goodsid offerid postid docid
documentid animeid recipeid listingid poiid venueid mediaid showid podcastid episodeid courseid jobid eventitemid
物品id 商品id 商品 内容id 文章id 视频id"""
_TEXT_OF_EVENT = """text query searchquery searchterm comment commenttext review reviewtext reviewbody message tag
content body post 文本 搜索词 评论 内容"""
_TIME = """timestamp ts time date datetime eventtime eventtimestamp eventdate createdat created createtime
occurredat invoicedate orderdate purchasedate unixreviewtime reviewtime reviewdate dateadded ratedat timems timestampms
unixtime unixtimestamp epoch actiontime interactiontime logtime playedat viewedat visittime 时间 时间戳 日期"""
_TITLE = """title name itemname itemtitle productname producttitle movietitle booktitle headline 标题 名称 商品名称"""
_TEXT_OF_ITEM = """text description desc content body plot summary overview abstract details itemdescription
productdescription longdescription 描述 简介 正文"""
_CATEGORIES = "categories category genres genre categoryname categorypath topics topic 类目 分类 类别"

ALIASES: dict[Kind, dict[str, str]] = {
    "events": {
        "user_id": _USER,
        "item_id": _ITEM,
        "action": """action actiontype event eventtype eventname behavior behaviour behaviortype behaviourtype
            interaction interactiontype activity activitytype verb type 行为 行为类型""",
        "timestamp": _TIME,
        "value": """value rating ratings stars score overall preference quantity qty count playcount plays units
            评分 数量""",
        "text": _TEXT_OF_EVENT,
        "session_id": "session sessionid sid visitid usersession 会话id",
        "seq": "seq sequence sequenceid sequencenumber order position index step eventorder eventindex 顺序 序号",
        "propensity": """propensity propensityscore pscore p prob probability actionprob actionprobability loggingprob
            loggingprobability loggingpropensity showprob showprobability 倾向得分 展示概率 曝光概率""",
        "list_id": "listid slate slateid request requestid recommendationid 列表id 请求id",
        "place": "place slot rank listposition positioninlist shownposition displayposition 位次 展示位置",
    },
    "items": {
        "item_id": _ITEM + " id",
        "title": _TITLE,
        "text": _TEXT_OF_ITEM,
        "categories": _CATEGORIES,
        "domain": "domain department vertical 领域",
    },
    "attributes": {"user_id": _USER + " id"},
    "feedback": {
        "user_id": _USER + " respondent respondentid 受访者 受访者id",
        "item_id": _ITEM,
        "interest": "interest interestid interestname topic 兴趣 兴趣id 兴趣名称",
        "segment": "segment segmentid segmentname 分群 人群",
        "answer": """answer response thumb thumbs thumbsup feedback rating ratings stars score vote satisfaction nps
            opinion value 回答 评价 评分 满意度 反馈 态度""",
        "question": "question questionid questiontext 问题 题目",
        "timestamp": _TIME + " answeredat submittedat",
        "rank": "rank place position slot 位次 排名",
        "source": "source signal 来源",
        "predicted": "predicted predictedscore modelscore 预测分",
    },
}
# Words that few logs have and whose aliases are common: several columns that fit are passed over, not asked about.
_OF_PROPENSITIES = ("propensity", "list_id", "place")
# Item words that a log without a catalogue may carry itself (no bare "name": in a log that is mostly the user's).
_ITEM_WORDS_IN_LOG = {
    "title": "title itemname itemtitle productname producttitle movietitle booktitle description 标题 商品名称",
    "categories": _CATEGORIES,
}


@dataclass(frozen=True)
class Columns:
    """used: our word -> the caller's column; passed_over: columns that would fit, but were not taken."""

    used: Mapping[str, str]
    passed_over: Mapping[str, tuple[str, ...]]


def simplify(name: str) -> str:
    """Drop case and separators.

    >>> simplify("User-ID"), simplify("event_type")
    ('userid', 'eventtype')
    """
    return "".join(c for c in name.casefold() if c.isalnum())


def map_columns(
    kind: Kind, where: str, columns: Iterable[str], wanted: Mapping[str, str], *, items_in_log: bool = False
) -> Columns:
    """Find our words among a table's columns: first what the caller named, then exact names, then well-known aliases.

    Args:
        kind: which table.
        where: its name in messages.
        columns: its column names.
        wanted: ours -> theirs, of the config; a key may be one table's only ("items.text"); "" = leave the word out.
        items_in_log: look for item titles and categories in an events table, too.
    Raises:
        DataError: two columns fit one word and neither is exact; a column named only for this table is not there.

    >>> dict(map_columns("events", "e.csv", ["userId", "movieId", "rating"], {}).used)
    {'user_id': 'userId', 'item_id': 'movieId', 'value': 'rating'}
    """
    names = list(columns)
    aliases = dict(ALIASES[kind])
    if items_in_log:
        aliases |= _ITEM_WORDS_IN_LOG
    named, left_out = _named(kind, where, names, wanted, aliases)
    used: dict[str, str] = {}
    passed: dict[str, tuple[str, ...]] = {}
    for word, known in aliases.items():
        if word in named:
            used[word] = named[word]
            continue
        if word in left_out:
            continue
        free = [n for n in names if n not in named.values()]
        keys = set(known.split()) | {simplify(word)}
        fits = [n for n in free if simplify(n) in keys]
        alone = "propensity" not in (word, *used)  # a list and a place mean something only beside a propensity
        if word in _OF_PROPENSITIES and (alone or (len(fits) > 1 and word not in fits)):
            continue
        if fits:
            used[word] = _choose(where, word, fits)
            if len(fits) > 1:
                passed[word] = tuple(n for n in fits if n != used[word])
    return Columns(used, passed)


def check_named(wanted: Mapping[str, str], tables: Mapping[Kind, tuple[str, Iterable[str]]]) -> None:
    """Raise where the caller names a word we do not have, or a column that no table with that word has."""
    words = sorted({w for kind in ALIASES for w in ALIASES[kind]} | set(_ITEM_WORDS_IN_LOG))
    for key, theirs in wanted.items():
        table, _, word = key.rpartition(".")
        if word not in words or table not in ("", *ALIASES):
            raise ConfigError(f"io.columns: '{key}' is no word of ours; {did_you_mean(word, words)}")
        kinds = [k for k in tables if table in ("", k) and (word in ALIASES[k] or k == "events")]
        if not theirs or not kinds:
            continue
        here = [c for k in kinds for c in tables[k][1]]
        if theirs not in here:
            names = " and ".join(tables[k][0] for k in kinds)
            raise DataError(f"{names}: no column '{theirs}' (named for '{key}'); {did_you_mean(theirs, here)}")


def need(where: str, columns: Columns, word: str, names: Iterable[str], why: str) -> None:
    """Raise where a word that can't be missing has no column; name the nearest column."""
    if word in columns.used:
        return
    names = list(names)
    hint = did_you_mean(word, names) if names else "it has no columns"
    near = hint if hint.startswith("did") else f"its columns: {', '.join(names[:20])}"
    bare = names and all(_looks_like_data(n) for n in names)
    first = "; the first line looks like data, so a header line may be missing" if bare else ""
    raise DataError(f"{where}: no column for '{word}' ({why}); {near}; name it with --columns {word}=...{first}")


def _looks_like_data(name: str) -> bool:
    return not any(c.isalpha() for c in name)


def _named(
    kind: Kind, where: str, names: list[str], wanted: Mapping[str, str], aliases: Mapping[str, str]
) -> tuple[dict[str, str], set[str]]:
    """What the caller named for this table (a table's own key wins), and the words to leave out."""
    named: dict[str, str] = {}
    left_out: set[str] = set()
    for key, theirs in sorted(wanted.items(), key=lambda kv: "." in kv[0]):
        table, _, word = key.rpartition(".")
        if word not in aliases or table not in ("", kind):
            continue
        if not theirs:
            named.pop(word, None)
            left_out.add(word)
        elif theirs in names:
            named[word] = theirs
            left_out.discard(word)
    twice = sorted({c for c in named.values() if list(named.values()).count(c) > 1})
    if twice:
        both = [w for w, c in named.items() if c == twice[0]]
        raise DataError(f"{where}: column '{twice[0]}' is named for {' and '.join(both)}; one column has one meaning")
    return named, left_out


def _choose(where: str, word: str, fits: list[str]) -> str:
    if len(fits) == 1:
        return fits[0]
    if word in fits:
        return word
    shown = " and ".join(f"'{n}'" for n in fits)
    raise DataError(f"{where}: columns {shown} could all be '{word}'; say which with --columns {word}={fits[0]}")
