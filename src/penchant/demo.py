"""The demo: a made-up market from end to end, ending with a report."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import polars as pl

from penchant import show
from penchant.artefacts import check_writable
from penchant.assessment import assess
from penchant.config import RunOptions, build_config
from penchant.io import write_table
from penchant.io.world import World, make_world, write_world
from penchant.io.world.truth import score_layers, score_leaves, score_names, score_segments
from penchant.model import Model
from penchant.pipeline import fit
from penchant.report import write_report

N_USERS, N_ITEMS, N_DAYS = 450, 720, 90
README = """\
What `penchant demo` wrote
  report.html        open it in a browser
  data/              the made-up log and catalogue, and the truth they were made from
  model/             the model: penchant profile {out}/model USER, penchant recommend {out}/model USER
  evaluation/        the comparison with peers on held-out time
  profiles.csv interests.csv segments.csv recommendations.csv
"""


def run_demo(out: Path, *, seed: int, run: RunOptions) -> Model:
    """Make a market, fit, evaluate, recommend, and write the report.

    Raises:
        OutputError: the folder can't be written or holds a model folder that is not ours.
    """
    started = time.perf_counter()
    check_writable(out / "model")
    world = make_world(n_users=N_USERS, n_items=N_ITEMS, n_days=N_DAYS, seed=seed)
    write_world(world, out / "data")
    events, items, users = (out / "data" / f"{name}.parquet" for name in ("events", "items", "users"))
    # three past windows instead of up to eight: enough to show, and the whole is over in a minute
    config = build_config({"seed": seed, "recommend": {"n_windows": 3}})
    run = replace(run, cache_dir=run.cache_dir or out / "cache")  # the second fit encodes nothing again

    result = assess(events, items, config=config, run=run)
    result.save(out / "evaluation")
    model = fit(events, items, users, config=config, run=run)
    model.save(out / "model")
    for name, table in {
        "profiles": model.profiles_table(),
        "interests": model.interests_table(),
        "segments": model.segments_table(),
        "recommendations": model.recommend(),
    }.items():
        write_table(table, out / f"{name}.csv")
    write_report(model, out / "report.html", evaluation=out / "evaluation")
    (out / "README.txt").write_text(README.format(out=out), encoding="utf-8")

    show.evaluation(result)
    show.table("\nAgainst the truth of the made-up market (never seen by the fit)", ("", ""), truth_rows(model, world))
    show.profile(model.profile(example_user(model)))
    print(f"\n{out / 'report.html'}: open it in a browser. The whole job took {time.perf_counter() - started:.0f} s.")
    return model


def truth_rows(model: Model, world: World) -> list[tuple[str, float]]:
    """Score a model fitted on a made-up market against its truth."""
    memberships = model.items_table()
    leaves = score_leaves(world.truth["items"], memberships)
    layers = score_layers(world.truth, model.profiles_table(), memberships)
    names = score_names(world.truth, model.interests_table(), memberships)
    segments = score_segments(world.truth["segments"], segment_of_user(model))
    return [
        ("leaves: V-measure", leaves["v_measure"]),
        ("segments: ARI", segments["ari"]),
        ("layers: macro-F1", layers["macro_f1"]),
        ("names: share of leaves that say a true word", names["name_share"]),
    ]


def segment_of_user(model: Model) -> pl.DataFrame:
    """user_id, segment_id; null where unassigned."""
    ids = model.segments.table["segment_id"].to_list()
    rows = model.segments.segment_row.tolist()
    return pl.DataFrame(
        {
            "user_id": model.user_ids,
            "segment_id": pl.Series([ids[r] if r >= 0 else None for r in rows], dtype=pl.String),
        }
    )


def example_user(model: Model) -> str:
    """A user whose profile is worth reading: the exemplar of the largest segment, else the first user."""
    exemplars = model.segments_table()["exemplars"].to_list()
    return str(exemplars[0][0]) if exemplars and exemplars[0] else str(model.user_ids[0])
