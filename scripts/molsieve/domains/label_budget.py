"""What a campaign's label budget must buy. Imports pydantic and the standard library only."""

from __future__ import annotations

from molsieve.campaign import Acquisition


def check_labels_buy_candidates(
    acquisition: Acquisition, species: int, costs: str = "costs"
) -> None:
    """Whether the seed and every batch hold enough candidates to learn from and to judge.

    Args:
        species: labels of a candidate, or at most so many where candidates share some.
        costs: the verb that says which of the two.

    Raises:
        ValueError: less than two random candidates in the seed, or two in a batch.
    """
    price = species * (1 + acquisition.displaced_per_species)
    why = (
        f"a candidate {costs} {price} labels ({species} species x (1 + displaced_per_species "
        f"{acquisition.displaced_per_species}))"
    )
    if round(acquisition.seed_labels // price * acquisition.seed_random_share) < 2:
        raise ValueError(
            f"acquisition.seed_labels: {acquisition.seed_labels} x seed_random_share "
            f"{acquisition.seed_random_share} buys less than two random candidates, one to "
            f"calibrate and one to test: {why}; raise one of them"
        )
    left = acquisition.batch_labels - int(acquisition.geometries.share * acquisition.batch_labels)
    if left < 2 * price:
        raise ValueError(
            f"acquisition.batch_labels: {acquisition.batch_labels} leaves {left} beside the "
            f"distorted geometries, but {why} and a round needs one to learn from and one to "
            "test; raise it"
        )
