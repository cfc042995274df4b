"""Candidates that share species: paid for once, always trained on, never in the way of holding out;
and rounds that label the committee's minima."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pandas as pd
import pytest

from molsieve.acquisition.pool import HELD_OUT, History, build_pool
from molsieve.acquisition.selection import _outdone, select_batch
from molsieve.campaign import Acquisition
from molsieve.chem.identities import structure_row
from molsieve.domains.zeolite.config import Objective
from molsieve.domains.zeolite.objective import SHARED_ROLES
from molsieve.geometry_settings import Geometries
from molsieve.labelling.collect import split_groups
from molsieve.tables import empty_table, read_table

CODES, GUESTS = ["AAA", "BBB", "CCC"], ["CN", "CO", "N", "O"]
SETTINGS = Acquisition(
    seed_labels=23,
    batch_labels=23,
    displaced_per_species=0,
    random_share=0.2,
    geometries=Geometries(share=0),
)


def tables(shift: float = 0.0, origin: str = "built") -> tuple[pd.DataFrame, ...]:
    """Twelve pairs of three frameworks and four guests; ``shift`` makes other geometries."""
    candidates, species, structures = [], [], []
    for k, (code, guest) in enumerate((c, g) for c in CODES for g in GUESTS):
        name = f"{k:016x}"
        own = {"candidate_id": name, "group": f"{code}|{guest}", "fingerprint": bytes([k + 1] * 8)}
        candidates.append(own | {"identifier": f"{code}|{guest}", "status": "accepted"})
        parts = {"complex": (f"{code}{guest}", k), "framework": (code, 100), "guest": (guest, 200)}
        for role, (species_id, place) in parts.items():
            atoms = ase.Atoms("OSi", [[0, 0, 0], [1.6 + shift, place, len(guest) + ord(code[0])]])
            if role == "guest":
                atoms = ase.Atoms("OH", [[0, 0, 0], [1 + shift, 0, GUESTS.index(guest)]])
            elif role == "framework":
                atoms.positions[1, 2] = ord(code[0])
            species.append({"candidate_id": name, "role": role, "species_id": species_id})
            structures.append(
                structure_row(
                    atoms,
                    species_id=species_id,
                    origin=origin if role == "complex" else "relaxed",
                    geometry_protocol_id="test",
                    candidate_id=name,
                    role=role,
                )
            )
    return pd.DataFrame(candidates), pd.DataFrame(species), pd.DataFrame(structures)


def select(
    folder: Path,
    number: int,
    given: tuple,
    previous: pd.DataFrame,
    settings: Acquisition = SETTINGS,
    labelled_values: pd.DataFrame | None = None,
    reasons: dict[str, str] | None = None,
) -> pd.DataFrame:
    out = folder / "selection.parquet", folder / "structures.parquet"
    predictions = None
    if number:
        ids = given[0]["candidate_id"]
        means = np.linspace(-1, 0, len(ids))
        predictions = pd.DataFrame(
            {"candidate_id": ids, "status": "ok", "mean": means, "std": 0.1, "std_raw": 0.1}
        ).assign(members=[[m - 0.1, m + 0.1] for m in means], in_domain=True)
        predictions["reason"] = predictions["candidate_id"].map(reasons or {}).astype(object)
    select_batch(
        *given,
        settings=settings,
        objective=Objective(),
        round_number=number,
        seed=1,
        previous_selections=previous,
        predictions=predictions,
        geometries=None,
        labelled_values=labelled_values,
        selection_out=out[0],
        structures_out=out[1],
    )
    chosen = read_table(out[0], "selection")
    roles = read_table(out[1], "structures")[["structure_id", "role"]]
    return chosen.merge(roles, on="structure_id")


@pytest.fixture
def first(tmp_path: Path) -> pd.DataFrame:
    return select(tmp_path, 0, tables(), empty_table("selection"))


def test_shared_species_are_paid_for_once(first: pd.DataFrame) -> None:
    assert len(first) <= SETTINGS.seed_labels and first["structure_id"].is_unique
    counts = first["role"].value_counts()
    # Three frameworks, four guests: the budget pays for all twelve pairs, not for seven.
    assert counts.to_dict() == {"complex": 12, "guest": 4, "framework": 3}


def test_shared_species_are_nobodys_and_always_train(first: pd.DataFrame) -> None:
    shared = first[first["role"] != "complex"]
    assert shared["candidate_id"].isna().all() and set(shared["split"]) == {"shared"}
    assert set(shared["group"]) == {*CODES, *GUESTS}
    own = first[first["role"] == "complex"]
    assert own["candidate_id"].notna().all()
    assert set(own.loc[own["reason"] == "random", "split"]) == set(HELD_OUT)
    splits = split_groups(first, first["group"], 0.9, 1)
    assert {splits[group] for group in [*CODES, *GUESTS]} == {"train"}
    assert "validation" in splits.values()


def test_a_framework_that_trains_keeps_no_candidate_from_being_held_out(
    first: pd.DataFrame,
) -> None:
    pool = build_pool(*tables(), SHARED_ROLES)
    some = first[first["candidate_id"].isna() | (first["candidate_id"] == f"{0:016x}")]
    assert History.of(some).may_be_held_out(pool).sum() == 11


def test_costs_in_order_count_a_shared_species_at_its_first_candidate() -> None:
    pool = build_pool(*tables(), SHARED_ROLES)
    copies = SETTINGS.model_copy(update={"displaced_per_species": 1})
    order = np.array([0, 1, 4, 4])  # AAA with CN, with CO, BBB with CN
    assert pool.costs_in_order(order, SETTINGS).tolist() == [3, 2, 2, 1]
    assert pool.costs_in_order(order, copies).tolist() == [6, 4, 4, 2]
    framework = pool.structures.query("role == 'framework'")["structure_id"].iloc[0]
    assert pool.costs_in_order(order[:1], SETTINGS, [framework]).tolist() == [2]
    assert build_pool(*tables()).costs_in_order(order, SETTINGS).tolist() == [3] * 4


def test_the_random_share_is_of_what_the_round_can_pay_for(tmp_path: Path) -> None:
    """Twelve labels buy six pairs with their three frameworks and four guests, not twelve."""
    few = SETTINGS.model_copy(update={"seed_labels": 12, "seed_random_share": 0.4})
    chosen = select(tmp_path, 0, tables(), empty_table("selection"), few)
    drawn = chosen[chosen["reason"] == "random"]
    assert len(drawn) == 2 and set(drawn["role"]) == {"complex"}
    assert len(chosen) <= few.seed_labels
    assert set(chosen.loc[chosen["role"] != "complex", "reason"]) == {"seed"}


def test_docked_candidates_are_chosen_again_at_their_minima(
    tmp_path: Path, first: pd.DataFrame
) -> None:
    minima = tables(shift=0.01, origin="relaxed")
    second = select(tmp_path, 1, minima, first.drop(columns="role"))
    assert not set(second["structure_id"]) & set(first["structure_id"])
    held_out = first.loc[first["split"].isin(HELD_OUT)].set_index("candidate_id")["split"]
    again = second[second["candidate_id"].isin(held_out.index)].set_index("candidate_id")["split"]
    assert len(again) and (again == held_out.reindex(again.index)).all(), "splits stay"
    acquired = second[second["reason"] == "acquired"]
    assert acquired["candidate_id"].notna().any()
    third = select(
        tmp_path, 2, tables(0.02, "relaxed"), pd.concat([first, second])[first.columns.drop("role")]
    )
    chosen = set(second["candidate_id"].dropna())
    assert not chosen & set(third["candidate_id"].dropna()), "a labelled minimum is a choice"


def test_a_candidate_whose_minimum_went_down_is_labelled_anew(
    tmp_path: Path, first: pd.DataFrame
) -> None:
    """Two are predicted below their labels, by less and by more than the standard deviation."""
    previous = first.drop(columns="role")
    second = select(tmp_path, 1, tables(0.01, "relaxed"), previous)
    previous = pd.concat([previous, second[previous.columns]])
    acquired = sorted(second.loc[second["reason"] == "acquired", "candidate_id"].dropna())
    values = pd.DataFrame({"candidate_id": acquired, "value": -2.0})
    means = dict(zip((f"{k:016x}" for k in range(12)), np.linspace(-1, 0, 12), strict=True))
    close, outdone = acquired[:2]
    values.loc[values["candidate_id"] == close, "value"] = means[close] + 0.05
    values.loc[values["candidate_id"] == outdone, "value"] = means[outdone] + 0.15
    given = tables(0.02, "relaxed")
    third = select(tmp_path, 2, given, previous, labelled_values=values)
    chosen = set(third["candidate_id"].dropna())
    assert chosen & set(acquired) == {outdone}
    rows = third[third["candidate_id"] == outdone]
    assert rows["split"].isna().all() and set(rows["reason"]) == {"acquired"}
    stale = {f"{k:016x}" for k in range(12)} - chosen
    assert close in stale


def test_a_candidate_without_a_value_gets_a_second_chance_but_no_third(
    tmp_path: Path, first: pd.DataFrame
) -> None:
    """Its labelled minimum was another substance; a judge's label is never bought again."""
    previous = first.drop(columns="role")
    second = select(tmp_path, 1, tables(0.01, "relaxed"), previous)
    previous = pd.concat([previous, second[previous.columns]])
    acquired = sorted(second.loc[second["reason"] == "acquired", "candidate_id"].dropna())
    lost = acquired[0]
    values = pd.DataFrame({"candidate_id": acquired[1:], "value": -2.0})
    judges = set(second.loc[second["split"].isin(HELD_OUT), "candidate_id"])
    third = select(tmp_path, 2, tables(0.02, "relaxed"), previous, labelled_values=values)
    assert lost in set(third["candidate_id"]) and not judges & set(third["candidate_id"])
    previous = pd.concat([previous, third[previous.columns]])
    fourth = select(tmp_path, 3, tables(0.03, "relaxed"), previous, labelled_values=values)
    assert lost not in set(fourth["candidate_id"])


def test_a_candidate_that_judges_is_never_labelled_anew(
    tmp_path: Path, first: pd.DataFrame
) -> None:
    """Its label would only ever be revised towards the prediction."""
    previous = first.drop(columns="role")
    second = select(tmp_path, 1, tables(0.01, "relaxed"), previous)
    previous = pd.concat([previous, second[previous.columns]])
    chosen = second.dropna(subset=["candidate_id"])
    judges = set(chosen.loc[chosen["split"].isin(HELD_OUT), "candidate_id"])
    learners = set(chosen["candidate_id"]) - judges
    ids = sorted(judges | learners)
    far_below = pd.DataFrame(
        {"candidate_id": ids, "status": "ok", "in_domain": True, "mean": -9.0, "std": 0.1}
    )
    history, pool = History.of(previous, True), build_pool(*tables(0.02, "relaxed"), SHARED_ROLES)
    for known in (ids, []):  # gone below its label; without a value
        values = pd.DataFrame({"candidate_id": pd.Series(known, dtype=object), "value": -1.0})
        again = _outdone(far_below, values, previous, history, pool, "zeolite")
        assert judges and again == learners


def test_a_minimum_that_is_another_substance_is_not_bought(
    tmp_path: Path, first: pd.DataFrame
) -> None:
    previous, minima = first.drop(columns="role"), tables(0.01, "relaxed")
    chosen = select(tmp_path, 1, minima, previous)
    torn = chosen.loc[chosen["reason"] == "acquired", "candidate_id"].dropna().iloc[0]
    reasons = {torn: "complex: rearranged in relaxation: O1-Si2 broken"}
    chosen = select(tmp_path, 1, minima, previous, reasons=reasons)
    assert len(chosen) and torn not in set(chosen["candidate_id"])
