"""Species and poses of known pairs; what cannot be built says why; the plan's sample."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pandas as pd
import pytest

from molsieve.chem.identities import atoms_from_row
from molsieve.domains.zeolite import building, config
from molsieve.domains.zeolite.building import (
    BuildFailure,
    FrameworkTask,
    GuestTask,
    build_framework,
    build_guest,
)
from molsieve.domains.zeolite.candidates import iterate_candidates
from molsieve.domains.zeolite.complexes import (
    BuiltComplex,
    ComplexTask,
    build_complex,
    without_protons,
)
from molsieve.domains.zeolite.relaxing import relaxed
from molsieve.domains.zeolite.sample import measured_species, sample_species
from molsieve.domains.zeolite.structures import build_references, build_structures
from molsieve.engines.base import CalculationError
from molsieve.tables import read_table

QUICK = config.Structures(
    conformers=1, poses=2, docking_trials=150, framework_steps=0, max_atoms=45
)


def candidates(**source: object) -> config.Candidates:
    given = {"frameworks": ["ACO"], "guests": ["CO", "CC(C)(C)C"], "min_cell_angstrom": 7.0}
    given |= source
    return config.Candidates.model_validate({"source": given})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("built")
    outputs = folder / "species.parquet", folder / "structures.parquet"
    rows = pd.DataFrame(iterate_candidates(candidates()))
    counts = build_structures(rows, QUICK, 1, *outputs, 1, "test")
    assert counts["ok"] == 5 and sum(counts.values()) == 6
    return read_table(outputs[0], "species"), read_table(outputs[1], "structures")


def test_a_candidate_has_its_framework_its_guest_and_poses(built: tuple) -> None:
    _, structures = built
    assert structures["candidate_id"].nunique() == 1, "the other guest is too large"
    assert structures.groupby("role")["origin"].agg(set).to_dict() == {
        "complex": {"built"},
        "framework": {"relaxed"},
        "guest": {"relaxed"},
    }
    poses = structures[structures["role"] == "complex"].sort_values("conformer")
    assert poses["conformer"].tolist() == [0, 1] and poses["structure_id"].is_unique
    by_role = structures.drop_duplicates("role").set_index("role")
    framework, guest = (atoms_from_row(by_role.loc[r]) for r in ("framework", "guest"))
    assert framework.get_chemical_formula() == "O16Si8" and framework.pbc.all()
    assert guest.get_chemical_formula() == "CH4O" and not guest.pbc.any()
    for row in poses.to_dict("records"):
        whole = atoms_from_row(row)
        assert (whole.cell.array == framework.cell.array).all(), (
            "the binding energy is one of a fixed cell"
        )
        np.testing.assert_allclose(whole.positions[:24], framework.positions, atol=1e-5)
        assert len(whole) == 30 and whole.info == {"charge_e": 0, "multiplicity": 1}
        apart = whole.get_all_distances(mic=True)[24:, :24]
        assert apart.min() > 1.5


def test_a_guest_without_room_says_what_is_in_the_way(built: tuple) -> None:
    species, _ = built
    (failed,) = species[species["status"] == "failed"].to_dict("records")
    assert failed["role"] == "complex" and failed["error_kind"] in ("no_pose", "too_large")
    assert "guest too large" in failed["error_message"]


def test_a_complex_is_built_alike_each_time_and_not_if_it_is_too_large_to_label() -> None:
    framework = build_framework(FrameworkTask("SOD", None, 6.0, "pure", 0.05, 0))
    guest = build_guest(GuestTask("CO", 1, 0.05, 1))
    assert isinstance(framework, ase.Atoms) and not isinstance(guest, BuildFailure)
    assert guest.energies_ev == [0.0]

    def docked(most_atoms: int) -> BuiltComplex | BuildFailure:
        settings = QUICK.model_dump(mode="json") | {"max_atoms": most_atoms}
        parts = (framework, guest.conformers, guest.energies_ev, "CO", 1, settings, 1)
        return build_complex(ComplexTask("SOD|pure|CO|1", *parts))

    first, again, small = docked(24), docked(24), docked(23)
    assert isinstance(first, BuiltComplex) and isinstance(again, BuiltComplex)
    assert first.repeats == (1, 1, 1) and len(first.poses) == 2
    for one, other in zip(first.poses, again.poses, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
    assert small == BuildFailure("too_large", "24 atoms, structures.max_atoms is 23")


def test_a_substituted_framework_is_neutral_with_its_proton() -> None:
    rows = iterate_candidates(
        config.Candidates.model_validate(
            {
                "source": {
                    "frameworks": ["SOD"],
                    "guests": ["N"],
                    "heteroatoms": [{"counts": {"Al": 1}}],
                    "min_cell_angstrom": 6.0,
                },
                "filters": {"elements": ["H", "N", "O", "Si", "Al"]},
            }
        )
    )
    arrangement = next(rows)["identifier"].split("|")[1]
    found = build_framework(FrameworkTask("SOD", None, 6.0, arrangement, 0.05, 0))
    assert isinstance(found, ase.Atoms)
    assert found.get_chemical_formula() == "HAlO12Si5"


def test_a_cation_balanced_by_aluminium_is_neutral_and_so_is_all_it_is_told_against(
    tmp_path: Path,
) -> None:
    source = {
        "frameworks": ["SOD"],
        "guests": ["C[N+](C)(C)C", "[NH4+]"],
        "charged_guests": "framework_aluminium",
        "min_cell_angstrom": 6.0,
    }
    filters = {"elements": ["H", "C", "N", "O", "Si", "Al"]}
    rows = pd.DataFrame(
        iterate_candidates(config.Candidates.model_validate({"source": source, "filters": filters}))
    )
    outputs = tmp_path / "species.parquet", tmp_path / "structures.parquet"
    build_structures(rows, QUICK, 1, *outputs, 1, "test")
    species = read_table(outputs[0], "species")
    assert set(species["charge_e"]) == {0}
    identifiers = species.groupby("role")["identifier"].agg(set)
    assert identifiers["guest"] == {"CCN(C)C", "N"}
    assert identifiers["framework"] == {"SOD|Al1.0+H|1x1x1"}
    structures = read_table(outputs[1], "structures")
    assert set(structures["charge_e"]) == {0}
    ammonium = rows.loc[rows["identifier"].str.contains("NH4"), "candidate_id"].item()
    mine = structures[structures["candidate_id"] == ammonium].set_index("role")
    parts = {role: atoms_from_row(mine.loc[[role]].iloc[0]) for role in set(mine.index)}
    whole = parts["complex"].get_chemical_formula()
    assert whole == "H4AlNO12Si5"
    assert parts["framework"].get_chemical_formula() == "HAlO12Si5"
    assert whole == (parts["framework"] + parts["guest"]).get_chemical_formula()
    whole_atoms = parts["complex"]
    nitrogen = whole_atoms.numbers.tolist().index(7)
    bonded = whole_atoms.get_distances(nitrogen, np.flatnonzero(whole_atoms.numbers == 1), mic=True)
    assert (bonded < 1.2).all(), "an ammonium, not an ammonia and an acid site"


def test_protons_that_stand_for_charges_are_counted() -> None:
    framework = ase.Atoms("SiOH", [[0, 0, 0], [0, 0, 1.6], [0, 0, 2.6]])
    assert without_protons(framework, 0) is framework
    assert without_protons(framework, 1).get_chemical_formula() == "OSi"
    with pytest.raises(ValueError, match="1 protons for guests of"):
        without_protons(framework, 2)


def test_what_falls_apart_on_relaxation_is_a_failure_with_the_bond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def apart(atoms: ase.Atoms, *_: object) -> ase.Atoms:
        moved = atoms.copy()
        moved.positions[0] += [0.0, 0.0, 2.5]
        return moved

    monkeypatch.setattr(building, "relaxed", apart)
    guest = build_guest(GuestTask("CO", 1, 0.05, 1))
    assert isinstance(guest, BuildFailure) and guest.kind == "rearranged"
    assert "C0-O1 broken" in guest.message
    framework = build_framework(FrameworkTask("SOD", None, 6.0, "pure", 0.05, 1))
    assert isinstance(framework, BuildFailure) and framework.kind == "rearranged"


def test_a_few_steps_go_downhill_and_a_broken_start_is_an_error() -> None:
    from molsieve.domains.zeolite.relaxing import LEVEL
    from molsieve.engines import open_engine

    start = ase.Atoms("OH2", [[0, 0, 0], [1.1, 0, 0], [-0.2, 1.0, 0]])
    moved = relaxed(start, 1e-3, 3)
    energies = [open_engine(LEVEL).compute(atoms).energy_ev for atoms in (start, moved)]
    assert energies[1] < energies[0] - 0.01
    assert (relaxed(start, 1e-3, 0).positions == start.positions).all()
    with pytest.raises(CalculationError):
        relaxed(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0]]), 1e-3, 3)


def test_references_are_quartz_and_free_atoms(tmp_path: Path) -> None:
    outputs = tmp_path / "species.parquet", tmp_path / "structures.parquet"
    objective = config.Objective(reference_frameworks=[])
    counts = build_references(QUICK, objective, ["H", "C", "O"], 1, *outputs, 1, "test")
    assert counts == {"ok": 5}
    structures = read_table(outputs[1], "structures").set_index("role")
    assert len(structures.loc["quartz", "numbers"]) == 72
    assert len(structures.loc["atom"]) == 4, "silicon too: quartz has it"


def test_a_plan_is_priced_on_drawn_pairs() -> None:
    found = sample_species(candidates(guests=["CO", "C" * 40]), 10, 1)
    assert found.kept_share == 0.5, "one of two guests is too large"
    assert len(found.numbers) == 30 and sum(found.periodic) == 20
    assert [len(numbers) for numbers in found.numbers[:3]] == [30, 24, 6]
    assert sample_species(candidates(guests=["C" * 40]), 10, 1).numbers == []
    assert [len(n) for n in measured_species(config.Objective())] == [72, 36]
