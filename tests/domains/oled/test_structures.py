"""Geometries of emitters, references, and failures that are rows."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from molsieve import tables
from molsieve.chem import conformers, identities, twists
from molsieve.chem.molecules import canonical_smiles
from molsieve.domains import species_rows
from molsieve.domains.oled import config, references, structures
from molsieve.domains.oled.goals import Objective
from molsieve.engines import open_engine
from molsieve.levels import parse_level
from molsieve.section import CampaignError

QUICK = config.Structures(conformers=1, twists=4, relaxed_conformers=2, fmax_ev_per_angstrom=0.05)
IMPOSSIBLE = "O=C1C=C2C=CC1=CC2=O"  # a para-bridged quinone that no embedding can close
PUSH_PULL = "NC=CC=O"
GOALS = {"singlet_triplet_gap": {"direction": "minimise", "worst": 1.0, "ideal": 0.0}}


def candidates(*smiles, status="accepted"):
    identifiers = [canonical_smiles(entry) for entry in smiles]
    rows = [
        {
            "candidate_id": identities.candidate_id(identifier),
            "identifier": identifier,
            "status": status,
            "source": "test",
        }
        for identifier in identifiers
    ]
    return tables.to_frame(tables.to_arrow(pd.DataFrame(rows), "candidates"))


def build(folder, frame, workers=1):
    outputs = [folder / "species.parquet", folder / "structures.parquet"]
    counts = structures.build_structures(frame, QUICK, 1, *outputs, workers, "demo")
    read = [
        tables.read_table(o, n) for o, n in zip(outputs, ("species", "structures"), strict=True)
    ]
    return counts, *read


def objective(*names):
    return Objective.model_validate({"goals": GOALS, "reference_molecules": list(names)})


@pytest.mark.slow
def test_one_ground_state_a_candidate_whatever_order_and_workers(tmp_path):
    frame = candidates(PUSH_PULL, "CC#N", IMPOSSIBLE)
    counts, species, geometries = build(tmp_path / "a", frame)
    assert counts == {"embedding": 1, "ok": 2}
    other = build(tmp_path / "b", frame.iloc[::-1], workers=2)
    pd.testing.assert_frame_equal(species, other[1])
    pd.testing.assert_frame_equal(geometries, other[2])
    assert set(species["role"]) == set(geometries["role"]) == {"ground"}
    assert set(geometries["origin"]) == {"relaxed"}
    assert set(geometries["multiplicity"]) == {1}
    assert len(geometries) == config.built_a_candidate(QUICK) * counts["ok"]
    failed = species[species["status"] == "failed"].iloc[0]
    assert failed["error_kind"] == "embedding" and "ETKDG" in failed["error_message"]


def test_a_rejected_candidate_has_no_species(tmp_path):
    counts, species, geometries = build(tmp_path, candidates("CC#N", status="rejected"))
    assert counts == {} and species.empty and geometries.empty


def test_the_lowest_of_the_twisted_minima_is_kept():
    """GFN2-xTB orders s-cis and s-trans as it orders them, whichever ETKDG found first."""
    found = conformers.embed_conformers(Chem.MolFromSmiles("C=CC=O"), 1, 1)
    kept = []
    for start in (found, twists.with_twists(found, 4, 1)):
        for relaxed in (1, 2):
            settings = QUICK.model_copy(update={"relaxed_conformers": relaxed})
            atoms, _ = structures.lowest_minimum(start, settings)
            kept.append(_energy(atoms))
    assert kept[3] == pytest.approx(min(kept), abs=1e-3)


def _energy(atoms):
    return open_engine(parse_level({"engine": "tblite"})).compute(atoms).energy_ev


@pytest.mark.slow
def test_a_donor_stands_upright_on_its_acceptor():
    """Acridine, crowded on both sides, stands upright on benzene; carbazole is tilted."""
    for smiles, low, high in (
        ("CC1(C)c2ccccc2N(c2ccc(C#N)cc2)c2ccccc21", 70, 90),
        ("N#Cc1ccc(-n2c3ccccc3c3ccccc32)cc1", 35, 65),
    ):
        row = species_rows.species_row("ground", canonical_smiles(smiles))
        settings = QUICK.model_dump(mode="json")
        task = structures.SpeciesTask(row, "ground", settings, 1, "p")
        species, (geometry,) = structures.build_species(task)
        assert species["status"] == "ok"
        assert low <= _twist_degrees(smiles, geometry) <= high


def _twist_degrees(smiles, geometry):
    molecule = Chem.AddHs(Chem.MolFromSmiles(canonical_smiles(smiles)))
    (twist,) = twists.twists(molecule)
    angle = abs(identities.atoms_from_row(geometry).get_dihedral(*twist.atoms))
    return min(angle % 180, 180 - angle % 180)


def test_a_relaxation_that_rearranges_or_does_not_end_is_a_typed_row(monkeypatch):
    row = species_rows.species_row("ground", PUSH_PULL)
    hasty = QUICK.model_copy(update={"max_steps": 1})
    task = structures.SpeciesTask(row, "ground", hasty.model_dump(mode="json"), 1, "p")
    species, geometries = structures.build_species(task)
    assert (species["status"], species["error_kind"]) == ("failed", "geometry_not_converged")
    assert geometries == []
    monkeypatch.setattr(conformers.Conformers, "bonds", lambda self: {(0, 1)})
    task = structures.SpeciesTask(row, "ground", QUICK.model_dump(mode="json"), 1, "p")
    species, geometries = structures.build_species(task)
    assert species["error_kind"] == "rearranged" and "formed" in species["error_message"]


def test_references_are_known_molecules_and_free_atoms(tmp_path):
    chosen = objective("formaldehyde", "glyoxal")
    outputs = [tmp_path / "species.parquet", tmp_path / "structures.parquet"]
    counts = structures.build_references(QUICK, chosen, ["H", "C", "S"], 1, *outputs, 1, "demo")
    species = tables.read_table(outputs[0], "species")
    geometries = tables.read_table(outputs[1], "structures")
    assert counts == {"ok": 2 + 4}
    assert set(species["role"]) == {"reference"} and species["candidate_id"].isna().all()
    assert sorted(species["couple"].dropna()) == ["formaldehyde", "glyoxal"]
    atoms = geometries[geometries["role"] == "atom"]
    assert sorted(int(n[0]) for n in atoms["numbers"]) == [1, 6, 8, 16], "oxygen is glyoxal's"
    measured = geometries[geometries["role"] == "measured"]
    assert sorted(map(len, measured["numbers"])) == [4, 6]
    with pytest.raises(CampaignError, match="no free-atom ground state for 'U'"):
        structures.build_references(QUICK, chosen, ["U"], 1, *outputs, 1, "demo")


def test_shipped_references_are_molecules_with_both_energies():
    molecules = structures.measured_systems()
    assert {"name", "smiles", "singlet_ev", "triplet_ev", "source"} <= set(molecules.columns)
    assert molecules["name"].is_unique and len(molecules) > 20
    assert [canonical_smiles(s) for s in molecules["smiles"]]
    inverted = molecules["singlet_ev"] < molecules["triplet_ev"]
    assert set(molecules[inverted]["name"]) == {"azulene", "cyclazine", "heptazine"}
    assert molecules[inverted]["note"].str.contains("beyond TDA").all()
    glyoxal = molecules.set_index("name").loc["glyoxal"]
    assert (glyoxal["singlet_ev"], glyoxal["triplet_ev"]) == (2.877, 2.490)
    assert np.isfinite(molecules[["singlet_ev", "triplet_ev"]].to_numpy(float)).all()


def test_a_reference_that_is_not_shipped_is_named_with_the_nearest():
    with pytest.raises(CampaignError, match=r"reference_molecules\[1\]: .*did you mean glyoxal"):
        references.select_references(["pyrazine", "glioxal"])
    assert structures.measured_elements(objective("pyrazine")) == {"H", "C", "N"}
    assert structures.measured_elements(objective()) == {"H"}


def test_another_protocol_has_another_identity():
    ids = {
        structures.protocol_id(QUICK, 1),
        structures.protocol_id(QUICK, 2),
        structures.protocol_id(QUICK.model_copy(update={"twists": 5}), 1),
    }
    assert len(ids) == 3
