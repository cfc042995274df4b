"""A small real OLED campaign: excited-state labels, several objectives, a front, the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from .conftest import Workspace

pytestmark = pytest.mark.slow

OBJECTIVES = {"singlet_triplet_gap", "singlet_energy", "oscillator_strength"}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose OLED campaign has run to its end."""
    folder = tmp_path_factory.mktemp("oled")
    (folder / "campaign.yaml").write_text(Path(__file__).with_name("oled.yaml").read_text())
    space = Workspace(folder)
    space.run()
    return space


def read(space: Workspace, name: str) -> pd.DataFrame:
    return pd.read_parquet(space.results / "rounds" / "1" / name)


def test_labels_hold_the_roots_and_free_atoms_none(space: Workspace) -> None:
    labels = read(space, "dataset/labels.parquet")
    assert len(labels) == 14 and set(labels["status"]) == {"ok"}
    singlets, triplets = (
        labels[f"{spin}_energies_ev"].str[0].to_numpy(float) for spin in ("singlet", "triplet")
    )
    assert (singlets > triplets).all() and (triplets > 0.5).all()
    assert labels["forces_ev_per_angstrom"].notna().all(), "the energy committee learns too"


def test_every_candidate_has_every_objective_each_round(space: Workspace) -> None:
    for round in ("0", "1"):
        folder = space.results / "rounds" / round / "predictions" / "0"
        told = pd.read_parquet(folder / "predictions.parquet")
        ok = told[told["status"] == "ok"]
        per_candidate = ok.groupby("candidate_id")["objective"].agg(set)
        assert len(per_candidate) == 19 and (per_candidate == OBJECTIVES).all()


def test_the_ranking_has_a_front_and_observed_values(space: Workspace) -> None:
    ranking = read(space, "ranking.parquet")
    assert len(ranking) == 19 and (ranking["pareto_front"] >= 1).all()
    assert (ranking["pareto_front"] == 1).any()
    labelled = ranking[ranking["label_value"].notna()]
    assert len(labelled) >= 14
    gap = labelled["singlet_triplet_gap_label_value"].to_numpy(float)
    assert (gap > 0).all() and np.isfinite(labelled["oscillator_strength_label_value"]).all()
    assert ranking["confirmed_value"].notna().any()


def test_the_page_speaks_of_absorption_where_no_stokes_shift_is_given(space: Workspace) -> None:
    page = (space.results / "rounds" / "1" / "report.html").read_text()
    assert "absorption" in page and "couple" not in page


def test_the_same_command_again_does_nothing(space: Workspace) -> None:
    assert "Nothing to be done" in space.run().stderr
