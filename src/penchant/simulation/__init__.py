"""Satisfaction of made-up users: what they would do, day after day, with the lists of several policies.

Users of a made-up market act as stated in `penchant.io.world.sessions`: they look less at low places, click by the true
strength of an interest, tire of like items, hide what they dislike. The figures say that the parts do what they should;
what a policy earns elsewhere is a question for real people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.artefacts import write_json
from penchant.config import Config, RunOptions
from penchant.errors import ConfigError, did_you_mean
from penchant.evaluate.interval import quantiles, ratio_draws
from penchant.evaluate.table import write_number
from penchant.io import make_folder, write_table
from penchant.io.world.sessions import Behaviour
from penchant.progress import maybe_step
from penchant.simulation.play import Played, play
from penchant.simulation.policies import Policy, at_random, popular, ranked
from penchant.simulation.stage import Stage, set_stage

__all__ = ["FIGURES", "SLOTS", "Simulation", "simulate"]

SLOTS = (0.6, 0.25, 0.1, 0.05)
POLICIES = ("slots", "rank", "popular", "random")
FIGURES = {
    "satisfied": ("pleased", "users"),  # a click and no hide that day
    "clicks": ("clicks", "users"),
    "hides": ("hides", "users"),
    "boredom": ("bored", "seen"),
}
N_BOOTSTRAP = 500


@dataclass(frozen=True)
class Simulation:
    """What `simulate` found.

    by_day: policy · day · n_users · for each of FIGURES its value, _low, _high. whole: the same over all days (a user's
    mean day), with clicks_vs, clicks_vs_low, clicks_vs_high and the same of satisfied: less the first policy's.
    """

    by_day: pl.DataFrame
    whole: pl.DataFrame
    facts: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        """What was stated, and what the figures can't say."""
        facts = self.facts
        told = ", ".join(f"{name} {value:g}" for name, value in facts["behaviour"].items())
        return [
            f"made-up users of seed {facts['seed']}, shown {facts['k']} items a day for {facts['rounds']} days, no "
            f"item twice; stated behaviour: {told}",
            "satisfied: clicked something and hid nothing that day; boredom: share of a click's chance that is lost to "
            "like items seen lately, mean over what was seen; clicks and hides are per list",
            "95 % intervals over users of this one market; another seed is another market. What real users would do is "
            "not known here",
        ]

    def frames(self) -> list[tuple[str, pl.DataFrame]]:
        """Title and table, in the order to print."""
        from penchant.report.words import words

        t, days = words("en"), self.by_day.select("policy", "day", *FIGURES)
        return [(t["sim_whole_title"], self.brief()), (t["sim_days_title"], days)]

    def brief(self) -> pl.DataFrame:
        """All days together as words: a row a policy, a column a figure with its interval."""
        first = self.whole["policy"][0]
        return self.whole.select(
            "policy",
            *(_told(self.whole, name) for name in FIGURES),
            *(_told(self.whole, f"{name}_vs").alias(f"{name} vs {first}") for name in ("satisfied", "clicks")),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "whole": self.whole.to_dicts(),
            "by_day": self.by_day.to_dicts(),
            "notes": self.notes,
            "facts": self.facts,
        }

    def save(self, folder: str | Path, *, language: Literal["en", "zh"] = "en") -> None:
        """Write by_day.csv, whole.csv, simulation.json, simulation.md and simulation.html.

        Args:
            language: of the fixed words of the page; notes are in English.
        """
        from penchant.report.simulation import write_simulation  # a page is drawn from a result, never the other way

        target = Path(folder)
        make_folder(target)
        write_table(self.by_day, target / "by_day.csv")
        write_table(self.whole, target / "whole.csv")
        write_json(self.to_dict(), target / "simulation.json")
        write_simulation(self, target, language=language)


def simulate(
    *,
    n_users: int = 300,
    n_items: int = 1000,
    rounds: int = 8,
    k: int = 10,
    policies: Sequence[str] = POLICIES,
    behaviour: Behaviour | None = None,
    config: Config | None = None,
    run: RunOptions | None = None,
) -> Simulation:
    """Fit a model in a made-up market, and let its users answer the lists of several policies for some days.

    Args:
        n_users, n_items: of the market, which `config.seed` draws. rounds: days. k: places a list.
        policies: of "slots" (ours, places shared out over layers and new interests: `config.recommend.slots`, or
            60/25/10/5), "rank" (ours, by rank alone), "popular", "random"; differences are to the first.
        behaviour: what is stated of the users. config: of the fit.
    Raises:
        ConfigError: an unknown policy, no policy, or rounds or k below 1.
    """
    unknown = [name for name in policies if name not in POLICIES]
    if unknown or not policies:
        hint = did_you_mean(unknown[0], list(POLICIES)) if unknown else f"give some of {', '.join(POLICIES)}"
        raise ConfigError(f"policies: must be of {', '.join(POLICIES)}. Got {', '.join(policies) or 'none'}; {hint}")
    if rounds < 1 or k < 1:
        raise ConfigError(f"simulate: rounds and k must be at least 1. Got {rounds}, {k}")
    config, run, behaviour = config or Config(), run or RunOptions(), behaviour or Behaviour()
    stage = set_stage(n_users, n_items, config, run)
    table: dict[str, Policy] = {
        "slots": ranked(config.recommend.slots or SLOTS),
        "rank": ranked(None),
        "popular": popular,
        "random": at_random,
    }
    played = {}
    for name in dict.fromkeys(policies):
        with maybe_step(f"{rounds} days of {name}", run):
            played[name] = play(stage, table[name], rounds, k, behaviour)
    facts = {
        "seed": config.seed,
        "n_users": len(stage.people),
        "n_items": len(stage.log.items),
        "rounds": rounds,
        "k": k,
        "chosen": stage.recommender.chosen,
        "slots": list(config.recommend.slots or SLOTS),
        "behaviour": asdict(behaviour),
    }
    return Simulation(*count_days(stage, played), facts)


def count_days(stage: Stage, played: Mapping[str, Played]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables `by_day` and `whole` of a `Simulation`; users are redrawn the same way for all policies."""
    names, people = list(played), stage.people
    days = len(played[names[0]].rounds)
    sums: dict[str, list[dict[str, npt.NDArray[np.float64]]]] = {
        name: [{key: v[people] for key, v in r.by_user().items()} for r in played[name].rounds] for name in names
    }
    tops, bottoms = [], []
    for name in names:
        total = {key: np.sum([one[key] for one in sums[name]], axis=0) for key in sums[name][0]}
        for one in [*sums[name], total]:
            tops += [one[top] for top, _ in FIGURES.values()]
            bottoms += [one[bottom] for _, bottom in FIGURES.values()]
    observed, draws = ratio_draws(
        np.column_stack(tops), np.column_stack(bottoms), n_bootstrap=N_BOOTSTRAP, seed=stage.seed
    )
    shape = (len(names), days + 1, len(FIGURES))
    values, redrawn = observed.reshape(shape), draws.reshape(len(draws), *shape)
    low, high = (ends.reshape(shape) for ends in quantiles(draws, 0.025))
    by_day, whole = [], []
    for i, name in enumerate(names):
        for day in range(days + 1):
            row: dict[str, object] = {"policy": name, "day": day + 1, "n_users": len(people)}
            for j, figure in enumerate(FIGURES):
                row |= {figure: values[i, day, j], f"{figure}_low": low[i, day, j], f"{figure}_high": high[i, day, j]}
            if day < days:
                by_day.append(row)
                continue
            del row["day"]
            for figure in ("satisfied", "clicks"):
                j = list(FIGURES).index(figure)
                gap = (redrawn[:, i, day, j] - redrawn[:, 0, day, j])[:, None]
                ends = [float(end[0]) if i else None for end in quantiles(gap, 0.025)]
                own = float(values[i, day, j] - values[0, day, j]) if i else None
                row |= {f"{figure}_vs": own, f"{figure}_vs_low": ends[0], f"{figure}_vs_high": ends[1]}
            whole.append(row)
    floats = {f"{name}_vs{end}": pl.Float64 for name in ("satisfied", "clicks") for end in ("", "_low", "_high")}
    return pl.DataFrame(by_day), pl.DataFrame(whole, schema_overrides=floats)


def _told(table: pl.DataFrame, name: str) -> pl.Series:
    """A figure with its interval, in words."""
    rows = table.select(name, f"{name}_low", f"{name}_high").rows()
    return pl.Series(
        name, ["" if v is None else f"{write_number(v)} ({write_number(a)} to {write_number(b)})" for v, a, b in rows]
    )
