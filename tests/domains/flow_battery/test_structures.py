"""Couples, their geometries, references, and failures that are rows."""

import numpy as np
import pandas as pd
import pytest
from ase.data import atomic_numbers

from molsieve import tables
from molsieve.chem import identities
from molsieve.chem.molecules import canonical_smiles
from molsieve.domains.flow_battery import config, structures
from molsieve.domains.flow_battery.couples import reference_couples, select_couples
from molsieve.section import CampaignError

QUICK = config.Structures(conformers=2)
IMPOSSIBLE = "O=C1C=C2C=CC1=CC2=O"  # a para-bridged quinone that no embedding can close


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


def build(folder, frame, seed=1, settings=QUICK, workers=1):
    outputs = [folder / "species.parquet", folder / "structures.parquet"]
    counts = structures.build_structures(frame, settings, seed, *outputs, workers, "demo")
    species, geometries = (
        tables.read_table(outputs[0], "species"),
        tables.read_table(outputs[1], "structures"),
    )
    return counts, species, geometries


def task(row, settings=QUICK, seed=1):
    return structures.SpeciesTask(row, row["role"], settings.model_dump(mode="json"), seed, "p")


def test_both_species_of_a_couple():
    oxidised, reduced = structures.species_of("O=C1C=CC(=O)C=C1")
    assert (oxidised["role"], oxidised["identifier"]) == ("oxidised", "O=C1C=CC(=O)C=C1")
    assert (reduced["role"], reduced["identifier"]) == ("reduced", "Oc1ccc(O)cc1")
    assert oxidised["species_id"] != reduced["species_id"]
    assert structures.species_of("C1=CC(=O)C=CC1=O") == [oxidised, reduced]


def test_geometries_are_relaxed_and_do_not_depend_on_order_or_workers(tmp_path):
    smiles = ["O=C1C=CC(=O)C=C1", "CC1=CC(=O)C=CC1=O", IMPOSSIBLE, "O=C1C=CC=CC1=O"]
    frame = candidates(*smiles)
    counts, species, geometries = build(tmp_path / "a", frame)
    assert counts == {"embedding": 2, "ok": 6}
    other = build(tmp_path / "b", frame.iloc[::-1], workers=2)
    pd.testing.assert_frame_equal(species, other[1])
    pd.testing.assert_frame_equal(geometries, other[2])
    assert species["species_id"].is_monotonic_increasing
    assert set(geometries["origin"]) == {"relaxed"}
    assert sorted(geometries["role"]) == ["oxidised"] * 3 + ["reduced"] * 3
    for row in geometries.to_dict("records"):
        atoms = identities.atoms_from_row(row)
        charge, multiplicity = identities.charge_and_multiplicity(atoms)
        assert row["structure_id"] == identities.structure_id(
            atoms.numbers, atoms.positions, charge, multiplicity
        )


def test_a_molecule_that_cannot_be_embedded_is_a_typed_row(tmp_path):
    row = structures.species_of(IMPOSSIBLE)[0]
    species, geometries = structures.build_species(task(row))
    assert (species["status"], species["error_kind"]) == ("failed", "embedding")
    assert "ETKDG" in species["error_message"] and geometries == []


def test_a_relaxation_without_end_is_a_typed_row():
    row = structures.species_of("CC1=CC(=O)C=CC1=O")[0]
    hasty = config.Structures(conformers=1, max_steps=1, fmax_ev_per_angstrom=1e-4)
    species, _ = structures.build_species(task(row, hasty))
    assert species["error_kind"] == "geometry_not_converged"


def test_a_molecule_that_rearranges_is_a_typed_row(monkeypatch):
    real = structures.relaxation.relax

    def relax_and_lose_an_atom(*arguments):
        relaxed = real(*arguments)
        relaxed.atoms.positions[-1] += 4.0
        return relaxed

    monkeypatch.setattr(structures.relaxation, "relax", relax_and_lose_an_atom)
    row = structures.species_of("O=C1C=CC(=O)C=C1")[0]
    species, geometries = structures.build_species(task(row))
    assert species["error_kind"] == "rearranged" and "broken" in species["error_message"]
    assert geometries == []


def test_the_lowest_of_several_relaxed_conformers_is_kept():
    row = structures.species_of("O=C1C=CC(=O)C(CCO)=C1")[0]

    def energy(relaxed_conformers):
        settings = config.Structures(conformers=4, relaxed_conformers=relaxed_conformers)
        _, (geometry,) = structures.build_species(task(row, settings))
        atoms = identities.atoms_from_row(geometry)
        return structures.relaxation.relax(atoms, 0.05, 50).energy_ev

    assert energy(4) <= energy(1) + 2e-3


def test_rejected_candidates_are_not_built_and_an_empty_shard_is_legal(tmp_path):
    counts, species, geometries = build(tmp_path, candidates("O=C1C=CC(=O)C=C1", status="rejected"))
    assert counts == {} and len(species) == 0 and len(geometries) == 0


def test_candidates_that_share_a_diol_have_a_species_row_each(tmp_path):
    tautomers = candidates("O=C1C=C(O)C(=O)C=C1", "O=C1C=CC(O)=CC1=O")
    _, species, geometries = build(tmp_path, tautomers)
    assert len(species) == 4 and species["species_id"].nunique() == 3
    assert len(geometries) == 4 and geometries["structure_id"].nunique() == 3
    assert geometries["candidate_id"].nunique() == 2


def test_the_seed_and_the_settings_enter_the_protocol():
    protocols = {
        structures.protocol_id(QUICK, 1),
        structures.protocol_id(QUICK, 2),
        structures.protocol_id(config.Structures(), 1),
    }
    assert len(protocols) == 3
    assert structures.embedding_seed(1, "a") != structures.embedding_seed(2, "a")


def test_shipped_couples_are_quinones_with_sources():
    couples = reference_couples()
    assert len(couples) >= 20
    assert couples["name"].is_unique and couples["source"].str.len().gt(5).all()
    assert set(couples["grade"]) <= {"A", "B"} and set(couples["status"]) <= {"read", "recalled"}
    assert couples["potential_v"].between(0.05, 0.9).all()
    identifiers = set()
    for smiles in couples["smiles"]:
        oxidised, reduced = structures.species_of(smiles)
        assert oxidised["charge_e"] == reduced["charge_e"] == 0
        identifiers |= {oxidised["identifier"], reduced["identifier"]}
    assert len(identifiers) == 2 * len(couples)


def test_an_unknown_couple_is_named_with_the_nearest():
    with pytest.raises(
        CampaignError, match=r"reference_couples\[1\].*'lawson'.*nearest: 'lawsone'"
    ):
        select_couples(["AQDS", "lawson"])
    assert select_couples(["AQDS", "AQS"])["name"].tolist() == ["AQS", "AQDS"]


def test_references_are_couples_dihydrogen_and_free_atoms(tmp_path):
    names = ["1,4-benzoquinone", "1,2-benzoquinone", "2-chloro-1,4-benzoquinone"]
    objective = config.Objective.model_construct(direction="posolyte", reference_couples=names)
    outputs = [tmp_path / "species.parquet", tmp_path / "structures.parquet"]
    counts = structures.build_references(QUICK, objective, ["C", "N"], 1, *outputs, 1, "demo")
    species = tables.read_table(outputs[0], "species").set_index("species_id")
    geometries = tables.read_table(outputs[1], "structures").set_index("species_id")
    assert counts == {"ok": 2 * 3 + 1 + 5}
    assert set(species["role"]) == {"reference"} and species["candidate_id"].isna().all()
    assert geometries["role"].value_counts().to_dict() == {
        "atom": 5,
        "oxidised": 3,
        "reduced": 3,
        "dihydrogen": 1,
    }
    assert species["couple"].value_counts().to_dict() == dict.fromkeys(names, 2)
    atoms = geometries[geometries["role"] == "atom"]
    pairs = zip(atoms["numbers"], atoms["multiplicity"], strict=True)
    spins = {numbers[0]: spin for numbers, spin in pairs}
    expected = {"H": 2, "C": 3, "N": 4, "O": 3, "Cl": 2}
    assert spins == {atomic_numbers[symbol]: spin for symbol, spin in expected.items()}
    (h2,) = geometries[geometries["role"] == "dihydrogen"]["positions_angstrom"]
    assert np.linalg.norm(np.diff(np.reshape(h2, (2, 3)), axis=0)) == pytest.approx(0.77, abs=0.03)


def test_an_element_without_a_known_ground_state_is_refused(tmp_path):
    objective = config.Objective(direction="posolyte")
    with pytest.raises(CampaignError, match="'Au'"):
        structures.build_references(
            QUICK, objective, ["Au"], 1, tmp_path / "a", tmp_path / "b", 1, "demo"
        )


@pytest.mark.slow
def test_every_shipped_couple_can_be_built(tmp_path):
    objective = config.Objective(direction="posolyte")
    outputs = [tmp_path / "species.parquet", tmp_path / "structures.parquet"]
    counts = structures.build_references(QUICK, objective, [], 1, *outputs, 2, "demo")
    assert set(counts) == {"ok"}
