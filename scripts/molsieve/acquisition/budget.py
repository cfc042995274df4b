"""One labelling budget: what a candidate costs, and which share goes where. Counted in labels."""

from __future__ import annotations

import numpy as np

from molsieve.campaign import Acquisition
from molsieve.section import CampaignError


def round_labels(settings: Acquisition, round_number: int) -> int:
    """Labels a round may ask for: ``seed_labels`` in round 0, ``batch_labels`` later."""
    return settings.seed_labels if round_number == 0 else settings.batch_labels


def geometry_labels(settings: Acquisition, round_number: int) -> int:
    """Labels kept for distorted geometries; none in round 0, where there is no committee."""
    if round_number == 0:
        return 0
    # 0.29 * 100 is 28.999999999999996.
    return int(round(settings.geometries.share * settings.batch_labels, 6))


def candidate_cost(species: np.ndarray, settings: Acquisition) -> np.ndarray:
    """Labels of candidates of so many species (C,): relaxed structures and displaced copies."""
    return species * (1 + settings.displaced_per_species)


def random_candidates(settings: Acquisition, round_number: int, candidates: int) -> int:
    """How many of a round's ``candidates`` are drawn at random for calibration and test.

    Never fewer than one: a round without a fresh random candidate could not be judged.
    """
    share = settings.seed_random_share if round_number == 0 else settings.random_share
    return min(candidates, max(1, round(share * candidates)))


def affordable(costs: np.ndarray, labels: int) -> int:
    """How many of the first candidates, each at its cost (C,), ``labels`` pays for."""
    return int(np.searchsorted(np.cumsum(costs), labels, side="right"))


def check_budget(settings: Acquisition, round_number: int, species: int) -> None:
    """Refuse a round that cannot pay for one candidate to learn from and one to judge by.

    Args:
        species: how many species a candidate has.

    Raises:
        CampaignError: seed_labels (round 0) or batch_labels is too small.
    """
    cost = int(candidate_cost(np.array(species), settings))
    key = "batch_labels" if round_number else "seed_labels"
    labels = round_labels(settings, round_number) - geometry_labels(settings, round_number)
    if labels < 2 * cost:
        raise CampaignError(
            f"acquisition.{key}: {getattr(settings, key)} leaves {labels} for candidates; "
            f"one costs {cost} ({species} species x (1 + displaced_per_species)) and a round "
            f"needs two, one to learn from and one to judge by: at least {2 * cost}"
        )
