"""Every fixed word of the page, in English and Chinese: one key, two texts, so neither language lags behind."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]

_WORDS: dict[str, tuple[str, str]] = {
    "sim_title": ("Simulated sessions", "模拟会话"),
    "sim_lead": (
        "What made-up users with stated behaviour do with the lists of several policies.",
        "行为已声明的虚构用户面对几种策略的列表会如何反应。",
    ),
    "sim_whole": (
        "A user's mean day. vs: less the first policy, on the same users.",
        "每位用户的平均一天。vs：同一批用户上与第一个策略之差。",
    ),
    "sim_whole_title": ("Over all days (95 % interval)", "全部天数（95 % 区间）"),
    "sim_days_title": ("Day by day", "逐日"),
    "sim_day": ("day", "天"),
    "sim_figures": ("the figures", "数据"),
    "sim_satisfied_axis": ("share of users", "用户比例"),
    "sim_clicks_axis": ("clicks", "点击"),
    "sim_boredom_axis": ("boredom", "厌倦"),
    "sim_hides_axis": ("hides", "隐藏"),
    "sim_satisfied": ("Satisfied: a click and no hide that day, share of users", "满意：当天有点击且无隐藏的用户比例"),
    "sim_satisfied_help": ("Shaded: 95 % interval over users.", "阴影：用户层面 95 % 区间。"),
    "sim_clicks": ("Clicks a list", "每个列表的点击数"),
    "sim_clicks_help": ("Of the items shown that day.", "当天展示物品的点击数。"),
    "sim_boredom": ("Boredom: lost share of a click's chance", "厌倦：点击概率损失的比例"),
    "sim_boredom_help": (
        "Each like item seen lately lowers the chance by a stated factor that is halved with time; mean over what was "
        "seen.",
        "近期看过的每个同类物品都按声明的系数降低点击概率，并随时间减半；对所见物品取平均。",
    ),
    "sim_hides": ("Hides a list", "每个列表的隐藏数"),
    "sim_hides_help": ("Items of disliked interests that were hidden.", "被隐藏的、属于不喜欢兴趣的物品。"),
    "fb_title": ("What users said", "用户的反馈"),
    "fb_lead": (
        "Answers of real users, joined with their interests and with what was recommended.",
        "真实用户的回答，与其兴趣及推荐内容相关联。",
    ),
    "fb_by_all": ("Satisfied with it all", "总体满意度"),
    "fb_by_layer": ("By the layer of the interest", "按兴趣层"),
    "fb_by_interest": ("By interest", "按兴趣"),
    "fb_by_segment": ("By segment", "按分群"),
    "fb_by_rank": ("By place in the list", "按列表位次"),
    "fb_by_source": ("By what brought the item", "按推荐来源"),
    "fb_by_agreement": (
        "Does the predicted order agree? (AUC within users, 0.5 = no)",
        "预测排序是否一致（用户内 AUC，0.5 为无关）",
    ),
    "fb_by_coverage": ("Who answered", "谁作答了"),
    "fb_satisfied": (
        "Satisfied: share of answers that are for (thumb up, 4 or 5 stars, 9 or 10 points). Interval: Wilson, 95 %, "
        "for as many answers as the sample is worth (effective_n) where users gave several.",
        "满意：正面回答（点赞、4 或 5 星、9 或 10 分）的比例。"
        "区间：Wilson 95 %，同一用户多次回答时按有效样本量 (effective_n) 计。",
    ),
    "fb_agreement": (
        "Chance that something a user is for was ranked above something the same user is against; mean over the users "
        "with both, 95 % bootstrap interval.",
        "同一用户喜欢的内容排在其不喜欢的内容之前的概率；对两类回答都有的用户取平均，95 % 自助法区间。",
    ),
    "fb_coverage": (
        "Response: share of the model's users who answered (Wilson, 95 %). Compare share_of_users with "
        "share_of_answers: where they differ, the whole speaks for some more than for others.",
        "回复率：模型用户中作答的比例（Wilson 95 %）。"
        "比较 share_of_users 与 share_of_answers：两者不同时，总体更代表其中一部分人。",
    ),
    "fb_share": ("satisfied", "满意比例"),
    "fb_response": ("answered", "回复率"),
    "leaderboard": ("Penchant comparison", "Penchant 方法比较"),
    "leaderboard_lead": (
        "Ways to represent behaviour and to group users, measured on this log, each beside the simple baselines.",
        "在这份日志上衡量行为表示与用户分群的各种方法，并与简单基线并列。",
    ),
    "lb_n_events": ("events", "事件"),
    "lb_n_users": ("users", "用户"),
    "lb_n_items": ("items", "物品"),
    "lb_n_test_users": ("users tested", "测试用户"),
    "lb_n_leaves": ("leaf interests", "叶级兴趣"),
    "lb_n_segments": ("segments asked for", "要求的分群数"),
    "lb_representations": ("Representations", "行为表示"),
    "lb_representations_help": (
        "Fitted before the cut; every user's items ranked by a plain dot product over the whole catalogue, items "
        "already acted on left out; judged by what the user newly took after the cut. Line: nothing is both better and "
        "quicker.",
        "只用切分点之前的数据拟合；对每位用户用点积给全部物品排序（去掉已接触的），以切分点之后新取用的物品评判。"
        "虚线：没有方法同时更好且更快。",
    ),
    "lb_segmentations": ("Clusterings of users", "用户聚类"),
    "lb_segmentations_help": (
        "All methods group the same rows of interests at the cut; worth is judged on the events after it. "
        "Line: nothing is both better and quicker.",
        "所有方法对切分点时的同一组兴趣向量分群；价值以其后的事件评判。虚线：没有方法同时更好且更快。",
    ),
    "ndcg": ("NDCG of the first ten, 95 % interval over users", "前十名的 NDCG，用户间 95 % 区间"),
    "recall": ("share of the newly taken items among the first twenty", "新取用物品落在前二十名的比例"),
    "interest_hit_rate": (
        "users whose list is led by an interest that they newly took something of",
        "列表中占比最高的兴趣确实被新取用的用户比例",
    ),
    "seconds": ("seconds to fit", "拟合秒数"),
    "seconds_per_million_events": ("seconds to fit, per million events", "每百万事件的拟合秒数"),
    "memory_mb": ("peak memory added by the fit, MB", "拟合增加的内存峰值（MB）"),
    "score": (
        "nats told of later events x agreement^1.5 on random parts of the users x share of users with a segment",
        "对后续事件的信息量 × 随机子样本一致性^1.5 × 有分群用户的比例",
    ),
    "seed_ari": ("agreement (ARI) of clusterings with other seeds", "不同随机种子的一致性（ARI）"),
    "subsample_ari": ("agreement (ARI) of clusterings of random parts of the users", "随机子样本的一致性（ARI）"),
    "unassigned_share": ("users left without a segment", "未分群用户比例"),
    "silhouette": ("silhouette, -1..1, higher is better", "轮廓系数，-1..1，越高越好"),
    "davies_bouldin": ("Davies-Bouldin, lower is better", "Davies-Bouldin，越低越好"),
    "calinski_harabasz": ("Calinski-Harabasz, higher is better", "Calinski-Harabasz，越高越好"),
    "sse": ("sum of squared distances to the segment means", "到群中心的距离平方和"),
    "within_distance": ("mean distance of a user to the segment's mean", "用户到本群中心的平均距离"),
    "between_distance": ("mean distance between two segment means", "群中心之间的平均距离"),
    "title": ("Penchant report", "Penchant 报告"),
    "lead": (
        "What the users of this log want: named interests, layered by the chance that each user comes back to them.",
        "这份日志里的用户想要什么：有名字的兴趣，按用户再次触及的概率分层。",
    ),
    "until": ("Data until", "数据截至"),
    "made": ("Page made", "页面生成于"),
    "contents": ("Contents", "目录"),
    "input": ("What went in", "输入数据"),
    "map": ("Interest map", "兴趣地图"),
    "tree": ("Interest tree", "兴趣树"),
    "layers": ("Layers and how well they forecast", "兴趣分层与预测质量"),
    "profiles": ("Some user profiles", "用户画像示例"),
    "segments": ("Segments", "用户分群"),
    "recommendations": ("Recommendations with reasons", "推荐与理由"),
    "evaluation": ("Compared with what you would use instead", "与其他方法的比较"),
    "definitions": ("Definitions", "名词定义"),
    "events": ("events", "事件"),
    "users": ("users", "用户"),
    "items": ("items", "物品"),
    "interests": ("interests", "兴趣"),
    "encoder": ("Text encoder", "文本编码器"),
    "clock": ("Clock", "时间"),
    "order_clock": ("no usable times: order only", "没有可用时间：只按顺序"),
    "dirt": ("What was wrong with the data, and what was done", "数据问题与处理方式"),
    "no_dirt": ("Nothing wrong was found.", "没有发现问题。"),
    "where": ("where", "位置"),
    "kind": ("kind", "类型"),
    "rows": ("rows", "行数"),
    "dropped": ("dropped", "丢弃"),
    "first_rows": ("first rows", "前几行"),
    "rule": ("rule", "规则"),
    "colour_by": ("Colour by", "着色依据"),
    "top_interest": ("top interest", "上层兴趣"),
    "segment": ("segment", "分群"),
    "map_help": (
        "Each dot is an item; near dots are alike. Hover for evidence; press a name in the list to find it.",
        "每个点是一件物品，相近的点内容相似。悬停查看证据；点击列表中的名称可定位。",
    ),
    "map_sample": ("items shown, most used first, of", "件物品被显示（按使用量），共"),
    "keywords": ("keywords", "关键词"),
    "coverage": ("coverage", "覆盖率"),
    "distinctiveness": ("distinctiveness", "区分度"),
    "core": ("core", "核心"),
    "secondary": ("secondary", "次要"),
    "peripheral": ("peripheral", "边缘"),
    "emerging": ("emerging", "新兴"),
    "steady": ("steady", "稳定"),
    "fading": ("fading", "减弱"),
    "dormant": ("dormant", "休眠"),
    "reliability": ("Reliability: forecast against what happened", "可靠性：预测与实际"),
    "forecast": ("forecast probability", "预测概率"),
    "observed": ("share that came true", "实际发生比例"),
    "hit_share": ("Share of points touched by the next events, by layer", "各层兴趣被后续事件触及的比例"),
    "against_rules": ("Against rule methods, on a window no fit saw", "与规则方法比较（拟合未见过的时间窗）"),
    "no_layer_report": (
        "This log is too short for a held-out window, so the forecast could not be tested.",
        "日志太短，无法留出检验窗口，预测未经检验。",
    ),
    "unassigned": ("unassigned", "未分配"),
    "n_users": ("users", "用户数"),
    "lift": ("times the average share", "倍于平均占比"),
    "worth": ("worth against random groups of the same sizes", "相对同规模随机分组的价值"),
    "passes": ("passes", "通过"),
    "fails": ("does not pass", "未通过"),
    "exemplars": ("users nearest the middle", "最典型的用户"),
    "rank": ("rank", "排名"),
    "item": ("item", "物品"),
    "layer": ("layer", "层"),
    "reason": ("reason", "理由"),
    "interest": ("interest", "兴趣"),
    "state": ("state", "状态"),
    "probability": ("chance", "概率"),
    "evidence": ("evidence", "证据"),
    "no_evaluation": (
        "No evaluation was given. Make one and pass it: penchant evaluate EVENTS ITEMS -o DIR, then penchant report "
        "MODEL --evaluation DIR. Below: the choice made inside this log, on a validation window.",
        "未提供评估结果。请运行 penchant evaluate EVENTS ITEMS -o DIR，再用 penchant report MODEL --evaluation DIR。"
        "下面是在本日志内部验证窗口上的选择。",
    ),
    "off_policy": ("Off-policy: from what the log's own policy showed", "离线策略评估：依据日志自身策略的展示"),
    "def_off_policy": (
        "Expected takes from a list, if a take depends on the item alone (or on item and place), by the stated chances "
        "of the log's policy; 95 % interval over users. Mean weight: 1 is due. Figures that are not marked ok must not "
        "be trusted.",
        "按日志策略给出的展示概率估计一个列表的期望取用数，假设取用只取决于物品（或物品与位置）；用户层面 95 % 区间。"
        "平均权重应为 1；未标 ok 的数字不可信。",
    ),
    "chosen": ("Chosen on the validation window", "验证窗口上选中的方法"),
    "interval": ("95 % interval over users", "用户层面 95% 区间"),
    "find": ("find a name", "查找名称"),
    "def_interest": (
        "Interest: a group of items alike in text and in who uses them. A leaf is the finest.",
        "兴趣：文本与使用者都相近的一组物品；叶子是最细的一层。",
    ),
    "def_layer": (
        "Layer: core when the chance that the user's next {horizon} events touch the interest is at least {core}; "
        "secondary from {secondary}; peripheral below.",
        "层：用户接下来 {horizon} 个事件触及该兴趣的概率不低于 {core} 为核心，不低于 {secondary} 为次要，其余为边缘。",
    ),
    "def_affinity": (
        "Affinity: sum over events of action weight times membership, halved every {half_life} days (own events in a "
        "log without times). Share: affinity over the user's total.",
        "亲和度：事件权重乘以物品隶属度之和，每 {half_life} 天减半（无时间日志按自身事件数）。"
        "占比：该兴趣亲和度占用户总量之比。",
    ),
    "def_state": (
        "State: emerging, steady, fading or dormant, by recent against long-term affinity. It is not a layer.",
        "状态：新兴、稳定、减弱或休眠，由近期与长期亲和度比较得出，不是分层。",
    ),
    "def_ece": (
        "ECE: mean gap between forecast and outcome over bins of equal size, on events no fit saw; lower is better. "
        "AUC: chance that a touched point was ranked above an untouched one. Brier: mean squared error.",
        "ECE：等量分箱中预测与结果的平均差，使用拟合未见的事件，越低越好。AUC：被触及的点排在未触及点之前的概率。Brier：均方误差。",
    ),
    "def_coverage": (
        "Coverage: share of the interest's items that carry a word of its name. Distinctiveness: share of those words' "
        "use that lies inside the interest.",
        "覆盖率：兴趣内含有名称词语的物品比例。区分度：这些词语的出现有多大比例落在该兴趣内。",
    ),
    "def_segment": (
        "Segment: users with a like mix of interests. Lift: the interest's share here over its share among all users. "
        "Worth: how much better the segment tells interests than random groups of equal sizes; 1 is no better.",
        "分群：兴趣组合相近的用户。提升：兴趣在该群的占比与全体占比之比。"
        "价值：比同规模随机分组更能说明兴趣的倍数，1 表示没有价值。",
    ),
    "def_ndcg": (
        "NDCG@k: how high unseen items that the user really took stand in the list; 1 is perfect. Global time split, "
        "full ranking over all items, items already seen left out.",
        "NDCG@k：用户真正消费的未见物品在列表中的位置得分，1 为满分。按时间全局切分，对全部物品排序，去除已见物品。",
    ),
}


def words(language: Language) -> dict[str, str]:
    """Return key -> text in one language.

    >>> words("zh")["core"]
    '核心'
    """
    return {key: pair[0 if language == "en" else 1] for key, pair in _WORDS.items()}
