"""Forces are slopes, energies do not depend on how a pose is written, and some by hand."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from zeolite import contacts
from zeolite.force_field import FORMS, PARTS, ForceField, guest_charges
from zeolite.parameters import DREIDING, EV_PER_KCAL
from zeolite.poses import Pose, pose_of_atoms

from tests.benchmarks.poses import sodalite


@pytest.fixture(scope="module")
def pose() -> Pose:
    return pose_of_atoms(sodalite("CH3OH", "C2H6"))


def parts_at(atoms: Atoms, moved: np.ndarray, form: str = "exp6") -> np.ndarray:
    """(6,) eV of a pose whose atoms have ``moved`` (n, 3) Å."""
    here = pose_of_atoms(atoms)
    field = ForceField(here, guest_charges(here), form)
    return energies(field, torch.tensor(atoms.positions + moved))


def energies(field: ForceField, x: torch.Tensor) -> np.ndarray:
    parts = field.parts(x)
    return np.array([parts[name].item() for name in PARTS])


def rattle(atoms: Atoms, size: float = 0.05) -> np.ndarray:
    return np.random.default_rng(2).normal(0, size, atoms.positions.shape)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", [None, *PARTS])
def test_forces_are_slopes(pose, form, part):
    field = ForceField(pose, guest_charges(pose), form)
    field.scale = 1.3  # contacts of guests an image apart come into play
    x = field.start + torch.tensor(rattle(pose.atoms))
    direction = torch.tensor(rattle(pose.atoms[::-1], 1.0))

    def energy(places: torch.Tensor) -> torch.Tensor:
        found = field.parts(places)
        return found[part] if part else sum(found.values())

    places = x.clone().requires_grad_(True)
    energy(places).backward()
    slope = (places.grad * direction).sum().item()
    step = 1e-5
    numerical = (energy(x + step * direction) - energy(x - step * direction)).item() / (2 * step)
    assert abs(slope) > 1e-4
    assert slope == pytest.approx(numerical, rel=1e-5, abs=1e-7)


def test_an_unstrained_pose_has_contacts_and_charges_only(pose):
    found = energies(
        ForceField(pose, guest_charges(pose), "exp6"), torch.tensor(pose.atoms.positions)
    )
    assert found[:4].all()
    np.testing.assert_allclose(found[4:], 0, atol=1e-12)


def test_energies_do_not_depend_on_how_a_pose_is_written():
    atoms = sodalite("CH3OH", "C2H6")
    moved = rattle(atoms)
    plain = parts_at(atoms, moved)

    shifted = atoms.copy()
    shifted.translate([2.0, 3.0, -1.0])
    shifted.wrap()  # guests are now cut by the cell's faces
    np.testing.assert_allclose(parts_at(shifted, moved), plain, atol=1e-6)

    turned = atoms.copy()
    turned.rotate(70, (3, 1, 2), rotate_cell=True)
    turn = np.linalg.solve(atoms.cell.array, turned.cell.array)
    np.testing.assert_allclose(parts_at(turned, moved @ turn), plain, atol=1e-6)

    order = np.random.default_rng(0).permutation(len(atoms))
    np.testing.assert_allclose(parts_at(atoms[order], moved[order]), plain, atol=1e-6)

    doubled = parts_at(atoms.repeat((2, 1, 1)), np.tile(moved, (2, 1)))
    np.testing.assert_allclose(doubled, 2 * plain, atol=1e-6)


def test_contacts_are_a_plain_sum_over_pairs_and_images(pose):
    guest = np.concatenate(pose.guests[:1])
    alone = pose_of_atoms(pose.atoms[[*np.flatnonzero(pose.framework), *guest]])
    field = ForceField(alone, np.zeros(len(alone.atoms)), "lennard_jones")
    expected = 0.0
    for image in np.ndindex(5, 5, 5):
        shift = (np.array(image) - 2) @ alone.atoms.cell.array
        for i in np.flatnonzero(alone.framework):
            for j in alone.guests[0]:
                r = np.linalg.norm(alone.atoms.positions[j] + shift - alone.atoms.positions[i])
                one, other = (DREIDING[int(alone.atoms.numbers[k])] for k in (i, j))
                ratio = (one[0] + other[0]) / 2 / r
                well = (one[1] * other[1]) ** 0.5 * EV_PER_KCAL
                expected += (r < 9) * well * (ratio**12 - 2 * ratio**6)
    found = energies(field, field.start)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_curves_by_hand():
    """Dreiding's, a minimum of 1 at 1; erfc(0.6) = 0.396144, erfc(1.8) = 0.010909."""
    zeta = np.array([12.0, 14.034])
    for value, slope in (
        contacts.exponential_6(np.ones(2), zeta),
        contacts.lennard_jones(np.ones(2)),
    ):
        np.testing.assert_allclose(value, -1)
        np.testing.assert_allclose(slope, 0, atol=1e-12)
    soft, hard = (curve[0][0] for curve in (
        contacts.exponential_6(np.array([0.8]), zeta[:1]), contacts.lennard_jones(np.array([0.8]))
    ))  # fmt: skip
    assert soft == pytest.approx(np.exp(2.4) - 2 * 0.8**-6, rel=1e-12)
    assert hard == pytest.approx(0.8**-12 - 2 * 0.8**-6, rel=1e-12)
    assert contacts.coulomb(np.array([3.0]))[0][0] == pytest.approx(1.7875, abs=2e-4)
    np.testing.assert_allclose(contacts.coulomb(np.array([9.0])), 0, atol=1e-12)


def test_a_carbon_and_an_oxygen_by_hand():
    """Dreiding's, 4 Å apart: reach 3.65145 Å, depth 0.0953995 kcal/mol, ζ 13.7585."""
    guest = pose_of_atoms(sodalite("CH4"))
    field = ForceField(guest, guest_charges(guest), "exp6")
    of_carbon = guest.atoms.numbers[field.pairs[0].numpy()].tolist()
    place = next(k for k, pair in enumerate(of_carbon) if sorted(pair) == [6, 8])
    table = field.pair_table
    assert table.reach[place] == pytest.approx(3.65145)
    rho, zeta = np.array([4 / table.reach[place]]), np.array([table.zeta[place]])
    depth = table.depth[place] / EV_PER_KCAL
    assert depth * contacts.lennard_jones(rho)[0][0] == pytest.approx(-0.078464, abs=1e-6)
    assert depth * contacts.exponential_6(rho, zeta)[0][0] == pytest.approx(-0.078057, abs=1e-6)


@pytest.mark.parametrize("curve", [contacts.lennard_jones, contacts.coulomb])
def test_curves_are_whole_where_they_become_lines(curve):
    edge = contacts.LENNARD_JONES_EDGE if curve is contacts.lennard_jones else 0.8
    below, above = curve(np.array([edge - 1e-9]))[0], curve(np.array([edge + 1e-9]))[0]
    assert below[0] == pytest.approx(above[0], rel=1e-6)


def test_exp6_goes_on_rising_inwards():
    rho = np.linspace(0.05, 1, 400)
    for zeta in (12.0, 14.444):
        assert (np.diff(contacts.exponential_6(rho, np.full(400, zeta))[0]) < 0).all()


def test_a_relaxation_goes_down_and_ends_where_forces_end(pose):
    field = ForceField(pose, guest_charges(pose), "lennard_jones")
    start, end = energies(field, field.start).sum(), field.relax()
    assert end.energy < start - 0.01
    _, gradient = field._step(end.positions.ravel())
    assert np.abs(gradient).max() < 0.1


def test_a_straight_guest_has_forces():
    """Three atoms in a line have no torsion."""
    pose = pose_of_atoms(sodalite("CH3CN"))
    field = ForceField(pose, guest_charges(pose), "exp6")
    assert len(field.torsions[0]) == 0
    assert np.isfinite(field._step(field.start.numpy().ravel())[1]).all()


def test_a_cation_is_compared_as_a_neutral_analogue():
    ammonia = molecule("NH3")
    away = ammonia.positions[0] - ammonia.positions[1:].mean(0)
    cation = ammonia + Atoms("H", [ammonia.positions[0] + 1.03 * away / np.linalg.norm(away)])
    atoms = sodalite(cation)
    for smiles in ("[NH4+]", ""):  # said, or told by the odd number of electrons
        pose = pose_of_atoms(atoms, smiles)
        assert pose.charge_e == 1
        charges = guest_charges(pose)
        assert charges.sum() == pytest.approx(0, abs=1e-5)
        assert np.ptp(charges[pose.guests[0]]) > 0.1


def test_an_element_without_parameters_is_refused():
    xenon = pose_of_atoms(sodalite(Atoms("Xe", [[0, 0, 0]])))
    with pytest.raises(ValueError, match="no Dreiding parameters for atomic numbers \\[54\\]"):
        ForceField(xenon, np.zeros(len(xenon.atoms)), "exp6")
