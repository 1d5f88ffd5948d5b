"""Graph networks: their sums by hand and against another implementation, sampling, hidden items, cold items."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from penchant.config import RepresentConfig
from penchant.data import Events, Vectors
from tests.represent.small_logs import GROUP, N_ITEMS, RUN, events_of, items_of, market, texts

torch = pytest.importorskip("torch")

from penchant.represent.graph import BIAS_UNIT, LightGcn  # noqa: E402
from penchant.represent.graph_networks import Attention, Convolution, Flow, Light  # noqa: E402
from penchant.represent.graph_sampling import (  # noqa: E402
    Edges,
    Graph,
    build_graph,
    edge_weights,
    like_items,
    only_items,
    sample,
    split_targets,
    user_edges,
)
from penchant.represent.history import latest_liked  # noqa: E402

NOTHING = sp.csr_array((N_ITEMS, N_ITEMS), dtype=np.float32)
CPU = torch.device("cpu")


def _graph() -> Graph:
    log = market()
    return build_graph(edge_weights(latest_liked(log, 500), log, N_ITEMS), NOTHING)


def _dense(edges: Edges, n_source: int, what: str = "share") -> np.ndarray:
    return sp.coo_array((getattr(edges, what), (edges.to, edges.source)), shape=(edges.n_to, n_source)).toarray()


def _fitted(*, text: Vectors | None = None, events: Events | None = None, **settings: object) -> LightGcn:
    neural: dict[str, object] = {"n_dims": 8, "n_epochs": 10, "batch_size": 32, "dropout": 0.0, "refit": False}
    neural |= settings.pop("neural", {})  # type: ignore[operator]
    config = {"min_item_events": 1, "neural": neural, **settings}
    made = LightGcn(RepresentConfig.model_validate(config), RUN, seed=0)
    made.fit(market() if events is None else events, items_of(), text)
    return made


def test_edges_weigh_the_log_of_all_positive_events_of_a_pair() -> None:
    log = events_of(np.array([0, 0, 0, 1]), np.array([1, 1, 2, 2]), np.array([1.0, 2.0, -1.0, 1.0]))
    weights = edge_weights(latest_liked(log, 500), log, 3).toarray()
    assert np.allclose(weights, np.log1p([[0, 3, 0], [0, 0, 1]]))


def test_all_neighbours_give_the_normalised_matrix() -> None:
    graph = _graph()
    part = sample(graph, np.arange(N_ITEMS), 1, 0, None, None)
    share = graph.users.toarray() / np.sqrt(np.outer(graph.user_degree, graph.item_degree))
    some = np.flatnonzero(graph.user_degree)
    assert np.allclose(_dense(part.layers[0].to_users, N_ITEMS), share[some], atol=1e-6)
    own = np.diag(1 / graph.item_degree)  # an item reads itself with weight 1
    expected = np.hstack([share[some].T, own])
    assert np.allclose(_dense(part.layers[0].to_items, len(some) + N_ITEMS), expected, atol=1e-6)


def test_draws_stand_for_all_neighbours() -> None:
    graph = _graph()
    total = np.zeros(N_ITEMS)
    for seed in range(200):
        edges = sample(graph, np.arange(N_ITEMS), 1, 4, np.random.default_rng(seed), None).layers[0].to_items
        assert np.bincount(edges.to).max() <= 4 + 1  # and the item itself
        total += np.bincount(edges.to, edges.weight) / 200
    assert np.allclose(total, graph.item_degree, rtol=0.03)


def test_items_do_not_read_users_that_are_left_out() -> None:
    graph = _graph()
    without = np.arange(200) % 2 == 0
    part = sample(graph, np.arange(N_ITEMS), 2, 0, None, without)
    assert [layer.to_users.n_to for layer in part.layers] == [100, 100]


def test_a_smaller_top_needs_only_its_part() -> None:
    graph = _graph()
    whole = sample(graph, np.arange(N_ITEMS), 2, 0, None, None)
    part = sample(graph, np.array([3, 17]), 2, 0, None, None)
    values = np.random.default_rng(0).normal(size=(N_ITEMS, 5)).astype(np.float32)

    def run(some) -> np.ndarray:
        now = torch.from_numpy(values[some.items])
        for layer in some.layers:
            users = Flow.of(layer.to_users, CPU).sum(now)
            now = Flow.of(layer.to_items, CPU).sum(torch.cat([users, now]))
        return now.numpy()

    assert np.allclose(run(part), run(whole)[[3, 17]], atol=1e-5)


def test_hidden_items_are_a_share_of_each_users() -> None:
    graph = _graph()
    rows = np.arange(5, 60, dtype=np.int32)
    hidden = split_targets(graph.users, rows, 0.2, np.random.default_rng(0))
    n, had = np.diff(hidden.indptr), np.diff(graph.users[rows].indptr)
    assert np.array_equal(n, np.minimum(np.maximum(np.round(0.2 * had), 1), had // 2))
    assert hidden.multiply(graph.users[rows]).nnz == hidden.nnz
    again = split_targets(graph.users, rows, 0.2, np.random.default_rng(1))
    assert not np.array_equal(again.indices, hidden.indices)


def test_like_items_are_the_nearest_both_ways() -> None:
    values = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0, 0]], np.float32)
    like = like_items(Vectors(values, "t"), 5, 1).toarray()
    assert np.array_equal(
        like > 0, np.array([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0] * 5])
    )
    assert np.allclose(like, like.T)
    assert like_items(None, 5, 3).nnz == like_items(Vectors(values, "t"), 5, 0).nnz == 0


def test_light_and_convolution_equal_torch_geometric() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    graph = _graph()
    n_users = 200
    log_edges = graph.users.tocoo()
    values = torch.randn(n_users + N_ITEMS, 6)
    user, item = (torch.from_numpy(c.astype(np.int64)) for c in log_edges.coords)
    both = torch.stack([torch.cat([user, item + n_users]), torch.cat([item + n_users, user])])
    weight = torch.from_numpy(log_edges.data).repeat(2)
    # one of our rounds reads users from items: theirs, restricted to those rows and without self loops
    ours = Flow.of(user_edges(graph.users, graph.items.sum(axis=1).astype(np.float32), np.arange(N_ITEMS)), CPU)
    theirs = geometric.LGConv()(values, both, weight)[:n_users]
    assert torch.allclose(Light(6, 2)(ours, values[n_users:], None), theirs, atol=1e-5)
    convolution = geometric.GCNConv(6, 6, add_self_loops=False)
    mine = Convolution(6, 2)
    mine.map.weight.data, mine.map.bias.data = convolution.lin.weight.data, convolution.bias.data
    torch.nn.init.normal_(mine.map.bias)
    assert torch.allclose(mine(ours, values[n_users:], None), convolution(values, both, weight)[:n_users], atol=1e-5)


def test_attention_equals_torch_geometric() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    binary = _graph().users.astype(bool).astype(np.float32)  # theirs knows no weights
    edges = user_edges(binary, np.ones(N_ITEMS, np.float32), np.arange(N_ITEMS))
    to, source = torch.randn(200, 6), torch.randn(N_ITEMS, 6)
    mine = Attention(6, 2)
    for weights in mine.parameters():
        torch.nn.init.normal_(weights)
    theirs = geometric.GATConv((6, 6), 3, heads=2, add_self_loops=False)
    theirs.lin_src.weight.data = theirs.lin_dst.weight.data = mine.map.weight.data
    theirs.att_src.data, theirs.att_dst.data = mine.by_source.data[None], mine.by_to.data[None]
    theirs.bias.data = mine.map.bias.data
    index = torch.from_numpy(np.stack([edges.source, edges.to]))
    assert torch.allclose(mine(Flow.of(edges, CPU), source, to), theirs((source, to), index), atol=1e-5)


def test_an_edge_of_weight_two_counts_twice_in_attention() -> None:
    source = torch.randn(2, 4)
    conv = Attention(4, 2)
    two = Edges(np.array([0, 0]), np.array([0, 1]), np.ones(2, np.float32), np.array([2, 1], np.float32), 2)
    read = conv(Flow.of(two, CPU), source, None)
    assert torch.allclose(read[0], (2 * source[0] + source[1]) / 3, atol=1e-6)
    assert not read[1].any()


def test_a_user_of_lightgcn_is_the_normalised_sum_of_final_item_vectors() -> None:
    made = _fitted()
    log = market(seed=3)
    weights = only_items(edge_weights(latest_liked(log, 500), log, N_ITEMS), made.item_vectors.any(axis=1))
    degree = made.to_parts().arrays["degree"]
    share = weights.toarray() / np.sqrt(np.outer(weights.sum(axis=1), degree))
    assert np.allclose(made.user_vectors(log)[:, :-1], share @ made.item_vectors[:, :-1], atol=1e-5)
    assert (made.user_vectors(log)[:, -1] == BIAS_UNIT).all()


def test_items_without_an_event_lie_with_their_likes_by_text() -> None:
    cold = [0, 11, 22, 33]
    events = market().take(~np.isin(market().item_row, cold))
    assert not _fitted(events=events).item_vectors[cold].any()
    made = _fitted(events=events, text=texts(noise=0.2))
    unit = made.item_vectors / np.linalg.norm(made.item_vectors, axis=1, keepdims=True)
    similarity = unit[cold] @ unit.T
    similarity[np.arange(4), cold] = -9
    assert np.array_equal(GROUP[similarity.argmax(axis=1)], GROUP[cold])
    assert "texts" in made.name


def test_known_items_do_not_score_below_unknown_ones() -> None:
    events = market().take(market().item_row >= 5)
    made = _fitted(events=events)
    scores = made.user_vectors(events) @ made.item_vectors.T
    assert not scores[:, :5].any()
    assert scores[:, 5:].min() > 0


def test_drawn_negatives_and_all_neighbours_learn_too() -> None:
    log = market(noise=0.05)
    for settings in ({"neural": {"n_negatives": 20, "n_epochs": 15}}, {"graph": {"n_neighbours": 0}}):
        made = _fitted(events=log, **settings)
        scores = made.user_vectors(log) @ made.item_vectors.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        assert (GROUP[best] == (np.arange(200) % 4)[:, None]).mean() > 0.7
