"""A small real OLED campaign: excited states at two levels, several objectives, a front, the page.

The cheap level labels all that is selected and teaches; objectives are at the better one.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molsieve import cli
from molsieve.labelling.fidelity import structures_at_both_levels
from molsieve.levels import level_id
from molsieve.loading import load_mapping
from molsieve.properties.definitions import label_values
from molsieve.tables import read_table

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


@pytest.fixture(scope="module")
def better(space: Workspace) -> str:
    """Identity of the level that objectives are at."""
    return level_id(load_mapping(space.campaign()).level("better"))


def read(space: Workspace, name: str) -> pd.DataFrame:
    return pd.read_parquet(space.results / "rounds" / "0" / name)


def test_labels_hold_the_roots(space: Workspace) -> None:
    labels = read(space, "dataset/labels.parquet")
    assert len(labels) == 8 and set(labels["status"]) == {"ok"}
    singlets, triplets = (
        labels[f"{spin}_energies_ev"].str[0].to_numpy(float) for spin in ("singlet", "triplet")
    )
    assert (singlets > triplets).all() and (triplets > 0.5).all()
    assert labels["forces_ev_per_angstrom"].notna().all(), "the energy committee learns too"


def test_a_share_is_labelled_at_the_better_level_and_all_that_judges(
    space: Workspace, better: str
) -> None:
    labels, dataset = (
        read(space, "dataset/fidelity.parquet"),
        read(space, "dataset/dataset.parquet"),
    )
    assert set(labels["level_id"]) == {better} and set(labels["status"]) == {"ok"}
    judging = dataset.loc[dataset["split"].isin(["calibration", "test"]), "structure_id"]
    assert len(judging) and set(judging) <= set(labels["structure_id"])
    rows, selection = (
        read_table(space.results / "rounds/0" / f"{name}.parquet", name)
        for name in ("structures", "selection")
    )
    wanted = structures_at_both_levels(rows, selection, 0.3, load_mapping(space.campaign()).seed)
    assert set(labels["structure_id"]) == set(wanted["structure_id"])
    assert len(wanted) < 8


def test_every_candidate_has_every_objective_at_the_better_level(
    space: Workspace, better: str
) -> None:
    told = read(space, "predictions/0/predictions.parquet")
    ok = told[told["status"] == "ok"]
    per_candidate = ok.groupby("candidate_id")["objective"].agg(set)
    assert len(per_candidate) == len(accepted(space)) > 8
    assert (per_candidate == OBJECTIVES).all() and set(told["level_id"]) == {better}


def accepted(space: Workspace) -> pd.DataFrame:
    rows = pd.read_parquet(space.results / "candidates/0.parquet")
    return rows[rows["status"] == "accepted"]


def test_the_ranking_has_a_front_and_values_of_the_better_level(space: Workspace) -> None:
    ranking = read(space, "ranking.parquet")
    assert len(ranking) == len(accepted(space)) and (ranking["pareto_front"] >= 1).all()
    assert (ranking["pareto_front"] == 1).any()
    labels = label_values(read(space, "dataset/fidelity.parquet"))
    gaps = labels["singlet_energy_ev"] - labels["triplet_energy_ev"]
    structures = read(space, "dataset/structures.parquet").set_index("structure_id")
    candidate = labels["structure_id"].map(structures["candidate_id"])
    known = ranking.set_index("candidate_id")["singlet_triplet_gap_label_value"]
    np.testing.assert_allclose(known[candidate].to_numpy(float), gaps, atol=1e-9)
    assert ranking["confirmed_value"].notna().any()


def test_the_page_speaks_of_absorption_where_no_stokes_shift_is_given(space: Workspace) -> None:
    page = (space.results / "rounds" / "0" / "report.html").read_text()
    assert "absorption" in page and "couple" not in page


def test_status_counts_and_predict_tells_what_the_campaign_predicted(
    space: Workspace, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(space.folder)
    assert cli.main(["status", "campaign.yaml", "--no-scheduler"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    count = str(len(read(space, "dataset/fidelity.parquet")))
    assert ["round", "0", "better", count] in [row[:4] for row in rows]
    given, out = space.results / "structures/0/structures.parquet", tmp_path / "p.parquet"
    assert cli.main(["export", str(space.results), str(tmp_path / "exported")]) == 0
    arguments = ["--committee", str(tmp_path / "exported"), "--out", str(out)]
    assert cli.main(["predict", str(given), *arguments]) == 0
    found = read_table(out, "property_predictions").set_index("name")
    candidate = read_table(given, "structures").set_index("structure_id")["candidate_id"]
    told = read(space, "predictions/0/predictions.parquet")
    told = told[told["objective"] == "singlet_triplet_gap"].set_index("candidate_id")
    for column, key in (("singlet_triplet_gap_ev", "mean"), ("singlet_triplet_gap_std_ev", "std")):
        mine = found[column].groupby(found.index.map(candidate)).first()
        np.testing.assert_allclose(mine, told.loc[mine.index, key], rtol=1e-3)


def test_other_goals_spare_the_seed_and_the_committee(space: Workspace) -> None:
    before = (space.folder / "campaign.yaml").read_text()
    objective = space.campaign()["objective"]
    objective["goals"]["oscillator_strength"]["worst"] = 0.1
    space.edit(objective=objective)
    try:
        told = space.run("--dry-run").stdout
    finally:
        (space.folder / "campaign.yaml").write_text(before)
    rules = set(re.findall(r"^(?:rule|checkpoint) (\w+):", told, re.M))
    assert {"assess_round", "select_hits", "rank_candidates"} <= rules
    assert not rules & {"build_references", "label_references", "calibrate_level", "select_batch"}
    assert not rules & {"train_member", "evaluate_committee", "predict_candidates"}


def test_the_same_command_again_does_nothing(space: Workspace) -> None:
    assert "Nothing to be done" in space.run().stderr
