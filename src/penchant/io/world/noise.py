"""How hard a made-up market is: every source of noise as one stated number.

The levels are set by what plain methods reach (benchmarks/plain_world.py prints it), not by what Penchant reaches.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["easy", "middle", "hard"]


@dataclass(frozen=True)
class Noise:
    """Stated noise. Shares are 0..1.

    Words of an item: each is its own interest's with `own_word`, a sibling interest's (same domain) with
    `sibling_word`, the domain's with `domain_word`, any interest's with `stray_word`, else a filler that tells nothing.
    vague_item: items none of whose words are their own interest's; no_description, no_title: missing texts.
    hidden_category: items without their domain among the categories; wrong_category: items filed under another domain;
    noise_category: items with a label that says nothing.
    own_passion, off_signature: core interests, secondary interests drawn from the whole market instead of the
    segment's signature.
    exploration: events outside all of the user's interests; stickiness: events that go on with the interest of the
    event before; repeat: events on the same item as the user's last one of that interest.
    drifting: share of core and secondary interests that rise, fade or follow a season.
    in_style: events that keep to the user's own taste (one of three styles) within an interest.
    missing_text: comments and reviews whose text is missing.
    """

    own_word: float
    sibling_word: float
    domain_word: float
    stray_word: float
    vague_item: float
    no_description: float
    no_title: float
    hidden_category: float
    wrong_category: float
    noise_category: float
    own_passion: float
    off_signature: float
    exploration: float
    stickiness: float
    repeat: float
    drifting: float
    in_style: float
    bot_users: float
    shared_accounts: float
    new_users: float
    new_items: float
    missing_text: float

    def as_rows(self) -> dict[str, float]:
        """Name -> stated number."""
        return asdict(self)


LEVELS: dict[Level, Noise] = {
    "easy": Noise(
        own_word=0.75,
        sibling_word=0.02,
        domain_word=0.10,
        stray_word=0.03,
        vague_item=0.02,
        no_description=0.03,
        no_title=0.005,
        hidden_category=0.3,
        wrong_category=0.02,
        noise_category=0.3,
        own_passion=0.1,
        off_signature=0.03,
        exploration=0.04,
        stickiness=0.35,
        repeat=0.10,
        drifting=0.15,
        in_style=0.6,
        bot_users=0.005,
        shared_accounts=0.01,
        new_users=0.03,
        new_items=0.03,
        missing_text=0.05,
    ),
    "middle": Noise(
        own_word=0.635,
        sibling_word=0.05,
        domain_word=0.13,
        stray_word=0.07,
        vague_item=0.06,
        no_description=0.10,
        no_title=0.02,
        hidden_category=0.5,
        wrong_category=0.06,
        noise_category=0.4,
        own_passion=0.25,
        off_signature=0.05,
        exploration=0.07,
        stickiness=0.35,
        repeat=0.10,
        drifting=0.25,
        in_style=0.6,
        bot_users=0.01,
        shared_accounts=0.02,
        new_users=0.05,
        new_items=0.05,
        missing_text=0.10,
    ),
    "hard": Noise(
        own_word=0.6,
        sibling_word=0.07,
        domain_word=0.12,
        stray_word=0.08,
        vague_item=0.12,
        no_description=0.20,
        no_title=0.05,
        hidden_category=0.6,
        wrong_category=0.12,
        noise_category=0.5,
        own_passion=0.3,
        off_signature=0.1,
        exploration=0.15,
        stickiness=0.25,
        repeat=0.08,
        drifting=0.4,
        in_style=0.5,
        bot_users=0.02,
        shared_accounts=0.05,
        new_users=0.08,
        new_items=0.08,
        missing_text=0.20,
    ),
}
