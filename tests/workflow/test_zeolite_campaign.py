"""A small real zeolite campaign: poses, shared species, labelled minima, scores, the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from .conftest import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose zeolite campaign has run to its end."""
    folder = tmp_path_factory.mktemp("zeolite")
    source = Path(__file__).with_name("zeolite.yaml")
    (folder / "campaign.yaml").write_text(source.read_text())
    space = Workspace(folder)
    space.run()
    return space


def rounds(space: Workspace, name: str) -> pd.DataFrame:
    paths = [space.results / "rounds" / str(r) / f"{name}.parquet" for r in range(2)]
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def test_poses_first_then_the_committees_minima(space: Workspace) -> None:
    chosen = rounds(space, "selection").merge(
        rounds(space, "structures")[["structure_id", "role", "origin"]], on="structure_id"
    )
    complexes = chosen[chosen["role"] == "complex"].groupby("round")["origin"].agg(set)
    assert complexes[0] == {"built"} and "relaxed" in complexes[1]
    distorted = chosen[chosen["reason"] == "attack"]
    assert set(distorted["role"]) == {"complex"}, "attacked with the guest inside"
    shared = chosen[chosen["role"] != "complex"]
    assert set(shared["split"]) == {"shared"} and not shared["structure_id"].duplicated().any()


def test_labels_of_cells_have_stresses_and_frameworks_train(space: Workspace) -> None:
    folder = space.results / "rounds" / "1" / "dataset"
    rows = pd.read_parquet(folder / "structures.parquet").merge(
        pd.read_parquet(folder / "labels.parquet"), on="structure_id"
    )
    periodic = rows["pbc"].map(all)
    assert rows.loc[periodic, "stress_ev_per_angstrom3"].notna().all() and periodic.any()
    assert (~periodic).any(), "guests are molecules"
    dataset = pd.read_parquet(folder / "dataset.parquet").merge(rows, on="structure_id")
    assert set(dataset.loc[dataset["role"] != "complex", "split"]) == {"train"}


def test_the_ranking_tells_binding_energies_and_scores(space: Workspace) -> None:
    ranking = pd.read_parquet(space.results / "rounds" / "1" / "ranking.parquet")
    assert len(ranking) == 8 and set(ranking["objective"]) == {"binding_energy"}
    labelled = ranking["label_value"].notna()
    assert labelled.any() and np.isfinite(ranking.loc[labelled, "framework_ev_per_t"]).all()
    # Each guest has two frameworks: for every member one of them is the second best.
    assert (ranking["competition_ev_per_t"] <= 1e-9).all()
    assert (ranking["competition_ev_per_t"] < -1e-6).any()
    assert (ranking["templating_ev_per_t"] >= 0).all()
    best = ranking["label_value"].fillna(ranking["mean"])
    assert best.is_monotonic_increasing, "strongest first"


def test_the_page_draws_guests_and_shows_scores(space: Workspace) -> None:
    page = (space.results / "rounds" / "1" / "report.html").read_text()
    assert "competition" in page and "templating" in page and "couple" not in page
    assert 'aria-label="CN"' in page, "of ACO|pure|CN|1 the guest is drawn"


def test_the_same_command_again_does_nothing(space: Workspace) -> None:
    assert "Nothing to be done" in space.run().stderr
