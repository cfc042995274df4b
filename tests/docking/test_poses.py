"""Docked poses judged from outside: by ASE's neighbour list, by shifting, by counting."""

import json
import os
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pandas as pd
import pytest
from ase.neighborlist import neighbor_list
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from scipy.optimize import linear_sum_assignment

from molsieve.crystals.framework import Framework
from molsieve.crystals.known import known_framework
from molsieve.docking.duplicates import packing_rms_angstrom
from molsieve.docking.guests import make_guest
from molsieve.docking.hosts import Host
from molsieve.docking.loadings import clash_free, packings
from molsieve.docking.poses import DockingSettings, dock, dock_in_host, why_not_dockable
from molsieve.docking.settling import settle, trial_placements
from molsieve.docking.singles import Singles, single_poses
from molsieve.docking.van_der_waals import radius_angstrom

DATA = Path(os.environ.get("MOLSIEVE_DATA", Path(__file__).parents[3] / "shared" / "data"))
POSES = DATA / "zeolite_poses" / "poses.parquet"
QUICK = DockingSettings(trials=240, settling_steps=30, most_poses=6, library=12, beam=2)


@pytest.fixture(scope="module")
def chabazite():
    framework = known_framework("CHA")
    return framework, Host(framework.atoms)


@pytest.fixture(scope="module")
def sodalite():
    framework = known_framework("SOD")
    return framework, Host(framework.atoms)


@pytest.fixture(scope="module")
def amine():
    return make_guest("CCN", conformers=2)


@pytest.fixture(scope="module")
def docking(chabazite, amine):
    return dock_in_host(chabazite[1], "CHA", amine, (1, 3), settings=QUICK)


def test_poses_are_ranked_and_described(docking, amine, chabazite):
    poses = docking.poses[1]
    assert 1 < len(poses) <= QUICK.most_poses
    scores = [pose.info["score_ev"] for pose in poses]
    assert scores == sorted(scores)
    assert scores[0] < -0.3
    info = json.loads(json.dumps(poses[0].info))
    assert info["framework"] == "CHA" and info["guest_smiles"] == "CCN" and info["loading"] == 1
    assert info["charge_e"] == 0 and info["multiplicity"] == 1
    guest = poses[0][info["guest_indices"][0]]
    np.testing.assert_array_equal(guest.numbers, amine.numbers)
    conformer = amine.conformers[info["conformers"][0]]
    np.testing.assert_allclose(guest.get_all_distances(), conformer.get_all_distances(), atol=1e-6)
    frame = chabazite[0].atoms
    np.testing.assert_array_equal(poses[0].positions[: len(frame)], frame.positions)


@pytest.mark.parametrize("loading", [1, 3])
def test_nothing_clashes(docking, loading):
    assert docking.poses[loading]
    for pose in docking.poses[loading]:
        owner = np.full(len(pose), -1)
        for k, indices in enumerate(pose.info["guest_indices"]):
            owner[indices] = k
        i, j, apart = neighbor_list("ijd", pose, 3.5)
        foreign = (owner[i] >= 0) & (owner[i] != owner[j])
        radii = np.array([radius_angstrom(int(z)) for z in pose.numbers])
        limits = QUICK.clash_scale * (radii[i] + radii[j])
        assert foreign.any()
        assert np.all(apart[foreign] >= limits[foreign] - 1e-9)


def test_loadings_hold_that_many_guests(docking, chabazite):
    for loading, poses in docking.poses.items():
        for pose in poses:
            assert len(pose.info["guest_indices"]) == pose.info["loading"] == loading
            assert len(pose) == len(chabazite[0].atoms) + 10 * loading


def test_a_guest_stays_away_from_its_images():
    framework, guest = known_framework("ABW"), make_guest("CN", conformers=1)
    settings = replace(QUICK, clash_scale=0.55)
    poses = dock(framework, guest, settings=settings).poses.get(1, [])
    tight = dock(framework, guest, settings=replace(settings, min_image_distance_angstrom=4.5))
    assert poses
    assert "cell too small" in tight.reasons[1] and "repeat the cell" in tight.reasons[1]
    roomy = dock(framework, guest, (1,), (2, 1, 1), settings).poses[1][0]
    indices = roomy.info["guest_indices"][0]
    alone = ase.Atoms(roomy[indices], cell=roomy.cell, pbc=True)
    apart, shift = neighbor_list("dS", alone, 12.0)
    assert apart[np.any(shift != 0, axis=1)].min() >= settings.min_image_distance_angstrom
    assert len(roomy) == 2 * len(framework.atoms) + 7
    assert roomy.info["repeats"] == [2, 1, 1]


def test_same_seed_same_poses_and_another_seed_others(sodalite, amine):
    framework, host = sodalite
    first = dock(framework, amine, settings=QUICK).poses[1]
    second = dock_in_host(host, "SOD", amine, settings=QUICK).poses[1]
    other = dock_in_host(host, "SOD", amine, settings=replace(QUICK, seed=1)).poses[1]
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.positions, two.positions)
    assert not np.allclose(first[0].positions, other[0].positions)


def test_another_origin_gives_the_same_poses(sodalite, amine):
    framework, host = sodalite
    shift = np.array([1.7, -0.4, 2.9])
    moved = framework.atoms.copy()
    moved.positions += shift
    first = dock_in_host(host, "SOD", amine, settings=QUICK).poses[1]
    second = dock(Framework("SOD", moved), amine, settings=QUICK).poses[1]
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        assert one.info["score_ev"] == pytest.approx(two.info["score_ev"], abs=1e-4)
    np.testing.assert_allclose(second[0].positions, first[0].positions + shift, atol=1e-3)


def test_no_pose_is_a_symmetry_image_of_another(sodalite, amine):
    _, host = sodalite
    poses = dock_in_host(host, "SOD", amine, settings=QUICK).poses[1]
    places = [pose.positions[pose.info["guest_indices"]] for pose in poses]
    for k, place in enumerate(places):
        for other in places[:k]:
            apart = packing_rms_angstrom(place, other, amine.automorphisms, host.symmetry, 0.5)
            assert apart > QUICK.rmsd_tolerance_angstrom


def test_too_large_a_guest_is_refused_with_its_reason(sodalite):
    framework, host = sodalite
    tetrabutylammonium = make_guest("CCCC[N+](CCCC)(CCCC)CCCC", conformers=1)
    docking = dock_in_host(host, "SOD", tetrabutylammonium, (1, 2), settings=QUICK)
    assert docking.poses == {}
    assert set(docking.reasons) == {1, 2}
    assert "guest too large" in docking.reasons[1]
    assert "Å from a framework" in docking.reasons[1]
    assert why_not_dockable(framework, make_guest("C", conformers=1), settings=QUICK) is None


def test_framework_without_pores_is_refused():
    methane = make_guest("C", conformers=1)
    reason = why_not_dockable(known_framework("quartz"), methane, settings=QUICK)
    assert reason is not None and "guest too large" in reason
    pressed = known_framework("quartz").atoms.copy()
    pressed.set_cell(0.75 * pressed.cell.array, scale_atoms=True)
    reason = dock_in_host(Host(pressed), "pressed", methane, settings=QUICK).reasons[1]
    assert "no pores" in reason


def test_too_many_guests_are_refused_and_the_number_that_fit_said(sodalite):
    _, host = sodalite
    guest = make_guest("C1CN2CCN1CC2", conformers=1)
    settings = replace(QUICK, clash_scale=0.65)
    docking = dock_in_host(host, "SOD", guest, (1, 3), settings=settings)
    assert 1 in docking.poses and 3 not in docking.poses
    assert "of 3 guests were brought in" in docking.reasons[3]


def test_charged_guest_charges_the_complex(chabazite):
    guest = make_guest("C[N+](C)(C)C", conformers=1)
    poses = dock_in_host(chabazite[1], "CHA", guest, (2,), settings=QUICK).poses[2]
    assert poses[0].info["charge_e"] == 2


def test_an_aluminium_breaks_the_symmetry_and_is_docked_around(amine):
    framework = known_framework("SOD")
    atoms = framework.atoms.copy()
    symbols = atoms.get_chemical_symbols()
    symbols[int(framework.bonds.t[0])] = "Al"
    atoms.set_chemical_symbols(symbols)
    host = Host(atoms)
    assert len(host.symmetry.rotations) < 96
    poses = dock_in_host(host, "SOD-Al", amine, settings=QUICK).poses[1]
    assert "Al" in poses[0].get_chemical_symbols()


def test_settling_only_lowers(sodalite, amine):
    _, host = sodalite
    rng = np.random.default_rng(0)
    trials = trial_placements(amine, np.array([[0.0, 0.0, 0.0]]), 1.0, 64, rng)
    before = settle(host, amine, trials, 0, rng).energies_ev
    after = settle(host, amine, trials, 20, np.random.default_rng(1))
    assert np.all(after.energies_ev <= before)
    assert np.median(after.energies_ev) < np.median(before) - 0.05
    local = amine.coordinates[after.conformers]
    spans = np.linalg.norm(after.positions(amine)[:, 0] - after.positions(amine)[:, 5], axis=1)
    np.testing.assert_allclose(spans, np.linalg.norm(local[:, 0] - local[:, 5], axis=1))


def test_packings_that_clash_anywhere_are_seen(docking, chabazite, amine):
    pose = docking.poses[3][0]
    guests = pose.positions[np.array(pose.info["guest_indices"])]
    cell = pose.cell.array

    def free(positions, settings=QUICK):
        return clash_free(chabazite[1], amine, positions, cell, settings)

    assert free(guests)
    over_another = guests.copy()
    over_another[2] = guests[0] + 0.3 + cell[1]  # in another cell: only its image overlaps
    assert not free(over_another)
    in_the_wall = guests.copy()
    in_the_wall[1] += chabazite[0].atoms.positions[0] - guests[1, 0]
    assert not free(in_the_wall)
    assert not free(guests, replace(QUICK, min_image_distance_angstrom=13.0))


def test_packings_that_still_clash_once_settled_are_refused(amine):
    host = Host(known_framework("CHA").atoms, symmetric=False)
    first = single_poses(host, amine, (1, 1, 1), QUICK, 1).positions[0]
    beside = first + np.array([0.0, 0.0, 2.4])  # heavy atoms apart, hydrogens not
    singles = Singles(np.array([first, beside]), np.array([0, 0]), np.array([-0.5, -0.4]), None)
    found = packings(host, amine, singles, (1, 1, 1), 2, replace(QUICK, settling_steps=0))
    assert not clash_free(host, amine, singles.positions, host.cell, QUICK)
    assert set(found) == {1}


def test_a_loading_does_not_depend_on_what_else_was_asked(docking, chabazite, amine):
    alone = dock_in_host(chabazite[1], "CHA", amine, (3,), settings=QUICK).poses[3]
    assert len(alone) == len(docking.poses[3])
    for one, two in zip(alone, docking.poses[3], strict=True):
        np.testing.assert_array_equal(one.positions, two.positions)


@pytest.mark.skipif(not POSES.exists(), reason="no ../shared/data/zeolite_poses here")
def test_a_published_pose_is_found_again():
    """DABCO in SOD (Schwalbe-Koda and Gómez-Bombarelli, J. Chem. Phys. 154, 174109 (2021))."""
    table = pd.read_parquet(POSES)
    row = table[(table.framework == "SOD") & (table.guest_smiles == "C1CN2CCN1CC2")].iloc[0]
    atoms = AseAtomsAdaptor.get_atoms(Structure.from_str(row.cif, fmt="cif"))
    silica = np.isin(atoms.numbers, [8, 14])
    published, frame = atoms[~silica], ase.Atoms(atoms[silica])
    guest, host = make_guest("C1CN2CCN1CC2", conformers=2), Host(frame)
    poses = dock_in_host(host, "SOD", guest, settings=replace(QUICK, clash_scale=0.6)).poses[1]
    heavy = published.positions[published.numbers > 1]
    distances = []
    for pose in poses:
        docked = pose[len(frame) :]
        docked = docked[docked.numbers > 1]
        images = host.symmetry.images(docked.positions)
        apart = (images[:, :, None] - heavy) @ np.linalg.inv(host.cell)
        apart = np.linalg.norm((apart - np.round(apart)) @ host.cell, axis=3)
        apart[:, docked.numbers[:, None] != published.numbers[published.numbers > 1]] = 10.0
        for table in apart:
            rows, columns = linear_sum_assignment(table**2)
            distances.append(np.sqrt((table[rows, columns] ** 2).mean()))
    assert min(distances) < 0.6
