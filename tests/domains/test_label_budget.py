"""What a label budget must buy, whatever the domain."""

from __future__ import annotations

import pytest

from molsieve.campaign import Acquisition
from molsieve.domains.label_budget import check_labels_buy_candidates


def test_a_seed_and_a_batch_hold_two_candidates_each() -> None:
    """Three labels a candidate, two copies each: six; the seed's random half is two candidates."""
    enough: dict = {"displaced_per_species": 1, "seed_labels": 24, "seed_random_share": 0.5}
    enough["geometries"] = {"share": 0.0}
    check_labels_buy_candidates(Acquisition(**enough, batch_labels=12), 3)
    with pytest.raises(ValueError, match=r"seed_labels: 17 .* costs 6 labels \(3 species x \(1 \+"):
        check_labels_buy_candidates(Acquisition(**enough | {"seed_labels": 17}, batch_labels=12), 3)
    with pytest.raises(ValueError, match=r"batch_labels: 11 leaves 11 .* costs up to 6 labels"):
        check_labels_buy_candidates(Acquisition(**enough, batch_labels=11), 3, "costs up to")
