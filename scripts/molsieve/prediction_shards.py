"""Which candidates a prediction job takes: an even cut along the candidates' own shards.

The shards of candidates lie side by side on a line, a candidate's place inside its shard is a hash
of its identity, and the line is cut into equal parts. So a job reads the few shards that its part
touches: files that a dry run looks at grow with the sum of both counts, not with their product
(200 and 60 shards, 8 rounds: 20 thousand files instead of 300 thousand). Floor 0: every job of a
campaign imports this while it parses the rules.
"""

from __future__ import annotations

from molsieve.section import digest

PLACES = 2**32
"""Places inside a candidate shard."""


def candidate_shards_read(shard: int, shards: int, candidate_shards: int) -> range:
    """The candidate shards that prediction job ``shard`` of ``shards`` reads."""
    first = shard * candidate_shards // shards
    end = -(-(shard + 1) * candidate_shards // shards)
    return range(first, end)


def prediction_shard(
    candidate_id: str, candidate_shard: int, candidate_shards: int, shards: int
) -> int:
    """The prediction job of a candidate; it never moves while both counts stay."""
    place = int(digest(["prediction shard", candidate_id]), 16) % PLACES
    line = candidate_shard * PLACES + place
    return line * shards // (candidate_shards * PLACES)
