"""Shares and costs of the one labelling budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve.acquisition import budget
from molsieve.campaign import Acquisition
from molsieve.geometry_settings import Geometries
from molsieve.section import CampaignError

SETTINGS = Acquisition(
    seed_labels=90, batch_labels=60, displaced_per_species=2, geometries=Geometries(share=0.25)
)


def test_geometries_have_their_share_of_later_rounds_only():
    assert budget.geometry_labels(SETTINGS, 0) == 0
    assert budget.geometry_labels(SETTINGS, 1) == 15
    hundred = SETTINGS.model_copy(update={"batch_labels": 100})
    for share, labels in ((0.29, 29), (0.57, 57), (0.005, 0), (0.999, 99)):
        settings = hundred.model_copy(update={"geometries": Geometries(share=share)})
        assert budget.geometry_labels(settings, 1) == labels
    assert (budget.round_labels(SETTINGS, 0), budget.round_labels(SETTINGS, 3)) == (90, 60)


def test_cost_counts_species_and_copies():
    assert budget.candidate_cost(np.array([2, 3]), SETTINGS).tolist() == [6, 9]


@given(st.integers(0, 200), st.floats(0, 1))
def test_at_least_one_candidate_is_random(candidates, share):
    settings = SETTINGS.model_copy(update={"seed_random_share": share})
    found = budget.random_candidates(settings, 0, candidates)
    assert min(1, candidates) <= found <= candidates
    assert abs(found - share * candidates) <= 1


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(0, 60))
def test_affordable_is_the_longest_prefix(costs, labels):
    count = budget.affordable(np.array(costs, dtype=int), labels)
    assert sum(costs[:count]) <= labels
    assert count == len(costs) or sum(costs[: count + 1]) > labels


def test_share_of_geometries_counts_against_the_batch():
    budget.check_budget(SETTINGS, 1, 2)
    with pytest.raises(CampaignError, match=r"batch_labels: 15 leaves 12 for .* at least 18"):
        budget.check_budget(SETTINGS.model_copy(update={"batch_labels": 15}), 1, 3)
    budget.check_budget(SETTINGS.model_copy(update={"batch_labels": 15}), 0, 3)
