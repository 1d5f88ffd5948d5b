"""The truth of the made-up market as tables, and the attributes of its users."""

from __future__ import annotations

import numpy as np
import polars as pl

from penchant.data import LAYERS
from penchant.io.world.events import Accounts
from penchant.io.world.items import Catalogue
from penchant.io.world.lexicon import LANGUAGES, Lexicon
from penchant.io.world.noise import Noise
from penchant.io.world.users import AVERSION, DRIFTS, ROLES, Floats, People, layer_of, rates, touch_probability


def interest_truth(lexicon: Lexicon, catalogue: Catalogue, noise: Noise) -> pl.DataFrame:
    """interest_id, domain, names, keywords of both languages, and base_probability.

    base_probability: the true chance that ten events of a user without the interest touch it (exploration).
    """
    domain_ids = pl.Series(list(lexicon.domain_ids))
    return pl.DataFrame(
        {
            "interest_id": list(lexicon.interest_ids),
            "domain": domain_ids.gather(lexicon.domain_of),
            "name_en": list(lexicon.names["en"]),
            "name_zh": list(lexicon.names["zh"]),
            "keywords_en": [list(words) for words in lexicon.words["en"]],
            "keywords_zh": [list(words) for words in lexicon.words["zh"]],
            "base_probability": touch_probability(noise.exploration * catalogue.interest_weight, noise.stickiness),
        }
    )


def user_interest_truth(
    user_ids: pl.Series,
    accounts: Accounts,
    people: People,
    catalogue: Catalogue,
    lexicon: Lexicon,
    noise: Noise,
    n_days: int,
) -> pl.DataFrame:
    """Every planted (user, interest): role, drift, and the true chance and layer at the end of the log.

    In a shared account the interests of both people count, with the chances of the mixture; a role is then the layer of
    the mixture at full strength. Bots have none.
    """
    n_interests = len(lexicon)
    human = np.flatnonzero(~accounts.bot)
    one, two = accounts.person[human], accounts.partner[human]
    shared, weight = two >= 0, accounts.partner_share[human][:, None]

    def of_account(table: Floats) -> Floats:
        return np.where(shared[:, None], (1 - weight) * table[one] + weight * table[two], table[one])

    stray = noise.exploration * catalogue.interest_weight
    now, full = (
        touch_probability(
            (1 - noise.exploration) * of_account(rates(people, n_interests, n_days, time)) + stray, noise.stickiness
        )
        for time in (1.0, None)
    )
    role, drift = (np.full((len(people.segment), n_interests), -1, np.int64) for _ in range(2))
    row, slot = np.nonzero(people.interest >= 0)
    role[row, people.interest[row, slot]] = people.role[row, slot]
    drift[row, people.interest[row, slot]] = people.drift[row, slot]
    of_user, of_drift = role[one], drift[one]
    other = shared[:, None] & (role[two] >= 0)
    of_drift = np.where(other & (of_drift < 0), drift[two], of_drift)
    of_user = np.where(other & ((of_user < 0) | (of_user == AVERSION)), role[two], of_user)
    of_user = np.where(shared[:, None] & (of_user >= 0) & (of_user != AVERSION), layer_of(full), of_user)
    user, interest = np.nonzero(of_user >= 0)
    chance = now[user, interest]
    return pl.DataFrame(
        {
            "user_id": user_ids.gather(human[user]),
            "interest_id": pl.Series(list(lexicon.interest_ids)).gather(interest),
            "role": pl.Series(list(ROLES)).gather(of_user[user, interest]),
            "drift": pl.Series(list(DRIFTS)).gather(of_drift[user, interest]),
            "probability": chance,
            "layer": pl.Series(list(LAYERS)).gather(layer_of(chance)),
        }
    )


def account_truth(user_ids: pl.Series, accounts: Accounts, people: People, lexicon: Lexicon) -> dict[str, pl.DataFrame]:
    """Segments (of the first person of an account), bots, shared accounts, new users."""
    names = pl.Series(_segment_names(people, lexicon))
    human, shared = np.flatnonzero(~accounts.bot), np.flatnonzero(accounts.partner >= 0)
    bots, new = np.flatnonzero(accounts.bot), np.flatnonzero(accounts.new)
    segment_ids = pl.Series([f"g{i}" for i in range(len(names))])
    mine = people.segment[accounts.person[human]]
    return {
        "segments": pl.DataFrame(
            {"user_id": user_ids.gather(human), "segment_id": segment_ids.gather(mine), "name": names.gather(mine)}
        ),
        "bots": pl.DataFrame({"user_id": user_ids.gather(bots), "n_events": accounts.n_events[bots]}),
        "shared_accounts": pl.DataFrame(
            {
                "user_id": user_ids.gather(shared),
                "segment_id": segment_ids.gather(people.segment[accounts.person[shared]]),
                "partner_segment_id": segment_ids.gather(people.segment[accounts.partner[shared]]),
                "partner_share": accounts.partner_share[shared],
            }
        ),
        "new_users": pl.DataFrame(
            {
                "user_id": user_ids.gather(new),
                "first_day": accounts.first_day[new],
                "n_events": accounts.n_events[new],
            }
        ),
    }


def attributes(user_ids: pl.Series, accounts: Accounts, people: People, rng: np.random.Generator) -> pl.DataFrame:
    """user_id, age, region, plan, language: age and plan lean on the segment, the others say nothing."""
    n = len(accounts)
    middle = rng.uniform(24, 58, len(people.signature))
    paying = rng.uniform(0.05, 0.5, len(people.signature))
    segment = people.segment[np.maximum(accounts.person, 0)]
    age = np.clip(np.round(rng.normal(middle[segment], 9.0)), 16, 90).astype(np.int32)
    plan = np.where(rng.random(n) < paying[segment], rng.integers(1, 3, n), 0)
    regions = pl.Series(["north", "south", "east", "west", "islands"])
    region = rng.choice(5, n, p=[0.3, 0.25, 0.2, 0.2, 0.05])
    known = pl.Series(rng.random(n) < 0.9)
    return pl.DataFrame({"user_id": user_ids}).with_columns(
        pl.when(known).then(pl.Series(age)).alias("age"),
        regions.gather(region).alias("region"),
        pl.Series(["free", "plus", "pro"]).gather(plan).alias("plan"),
        pl.Series(list(LANGUAGES)).gather(accounts.language).alias("language"),
    )


def _segment_names(people: People, lexicon: Lexicon) -> list[str]:
    """Name each segment by the two strongest interests of its signature."""
    top = np.argsort(-people.signature, axis=1, kind="stable")[:, :2]
    return [" & ".join(lexicon.names["en"][k] for k in row) for row in top]
