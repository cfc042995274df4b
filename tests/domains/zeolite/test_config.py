"""What a zeolite campaign file may not say."""

from __future__ import annotations

import itertools

import pytest

from molsieve.domains.zeolite.config import Campaign
from molsieve.prediction_shards import prediction_shard

COUNTS = range(1, 7)


def campaign(candidate_shards: int, shards: int) -> Campaign:
    return Campaign.model_validate(
        {
            "campaign": "cuts",
            "domain": "zeolite",
            "candidates": {"source": {"guests": ["CN"]}, "shards": candidate_shards},
            "levels": {"gfn1": {"engine": "tblite", "method": "GFN1-xTB"}},
            "labels": {"level": "gfn1"},
            "prediction": {"shards": shards},
            "ranking": {"confirm": {"level": "gfn1"}},
        }
    )


def cut(candidate_shards: int, shards: int) -> bool:
    """Whether the candidates of one framework, which share a candidate shard, meet several jobs."""
    names = [f"{number:016x}" for number in range(60)]
    jobs = [
        {prediction_shard(name, own, candidate_shards, shards) for name in names}
        for own in range(candidate_shards)
    ]
    return any(len(of_one) > 1 for of_one in jobs)


def test_prediction_jobs_cut_no_framework() -> None:
    """An empty framework is relaxed from all complexes that its job sees: one job, one energy."""
    refused = set()
    for counts in itertools.product(COUNTS, COUNTS):
        try:
            campaign(*counts)
        except ValueError:
            refused.add(counts)
    assert refused == {counts for counts in itertools.product(COUNTS, COUNTS) if cut(*counts)}


@pytest.mark.parametrize(
    ("counts", "sound"), [((1, 2), 1), ((3, 2), 1), ((60, 100), 60), ((60, 50), 30)]
)
def test_the_refusal_names_a_count_that_is_allowed(counts: tuple[int, int], sound: int) -> None:
    says = rf"prediction\.shards: {counts[1]} .*candidates\.shards \({counts[0]}\).*set {sound}\b"
    with pytest.raises(ValueError, match=says):
        campaign(*counts)
    assert campaign(counts[0], sound).prediction.shards == sound
