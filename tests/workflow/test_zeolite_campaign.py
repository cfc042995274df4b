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
    assert len(ranking) == complexes(space) and set(ranking["objective"]) == {"binding_energy"}
    labelled, silica = ranking["label_value"].notna(), ranking["identifier"].str.contains("pure")
    assert labelled.any()
    known = ranking.loc[labelled, "framework_ev_per_t"]
    assert np.isfinite(known[silica]).all() and known[~silica].isna().all()
    # The best pair of a guest leads the second best by as much as its competition says.
    best_of_pairs = ranking.groupby(ranking["identifier"].str.split("|").str[2])
    assert (best_of_pairs["competition_ev_per_t"].min() <= 1e-9).all()
    assert (ranking["competition_ev_per_t"] < -1e-6).any()
    assert (ranking["templating_ev"] >= 0).all()
    best = ranking["label_value"].fillna(ranking["mean"])
    assert best.is_monotonic_increasing, "strongest first"


def complexes(space: Workspace) -> int:
    """How many were built: two methylamines in ACO have more atoms than max_atoms."""
    species = pd.read_parquet(space.results / "structures" / "0" / "species.parquet")
    failed = species.loc[species["status"] != "ok", ["error_kind", "identifier"]]
    assert set(failed["error_kind"]) == {"too_large"}
    assert failed["identifier"].str.match(r"ACO\|.*\|CN\|2").all() and len(failed) == 2
    return int(((species["role"] == "complex") & (species["status"] == "ok")).sum())


def test_heteroatoms_loadings_and_cations_are_in_neutral_cells(space: Workspace) -> None:
    species = pd.read_parquet(space.results / "structures" / "0" / "species.parquet")
    structures = pd.read_parquet(space.results / "structures" / "0" / "structures.parquet")
    labelled = rounds(space, "structures")
    assert not species["charge_e"].any() and not structures["charge_e"].any()
    assert not labelled["charge_e"].any(), "no level meets a charged cell"
    ranking = pd.read_parquet(space.results / "rounds" / "1" / "ranking.parquet")
    parts = ranking["identifier"].str.split("|", expand=True)
    ammonium = parts[2] == "[NH4+]"
    # An aluminium atom for each ammonium, a proton for that of the other guests.
    assert set(parts.loc[ammonium, 1].str[:3] + parts.loc[ammonium, 3]) == {"Al11", "Al22"}
    assert {form.split(".")[0] for form in parts.loc[~ammonium, 1]} == {"pure", "Al1"}
    assert parts.loc[~ammonium & (parts[1] != "pure"), 1].str.contains("+H1", regex=False).all()
    sites = {"SOD": 12, "ACO": 16}
    expected = parts[0].map(sites) / parts[3].astype(int)
    assert (ranking["t_sites_per_guest"] == expected).all()
    rejected = pd.read_parquet(space.results / "candidates" / "0.parquet")["reject_reason"].dropna()
    assert rejected.str.contains("the guests have .2 e").all() and len(rejected) == 2


def test_the_page_draws_guests_and_shows_scores(space: Workspace) -> None:
    page = (space.results / "rounds" / "1" / "report.html").read_text()
    assert "competition / eV per T site" in page and "templating / eV<" in page
    assert "couple" not in page and "eV a guest, negative" in page
    assert 'aria-label="CN"' in page, "of ACO|pure|CN|1 the guest is drawn"


def test_the_same_command_again_does_nothing(space: Workspace) -> None:
    assert "Nothing to be done" in space.run().stderr
