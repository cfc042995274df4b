"""Our integration and gradients against PySCF's own, and against its published constants."""

import numpy as np
import pyscf.dft
import pytest
from pyscf.dft import gen_grid, numint, radi

from molsieve.engines.dense_integration import DenseNumInt
from molsieve.engines.pyscf import mean_field, molecule
from molsieve.engines.pyscf_gradient import nuclear_gradient
from molsieve.engines.scf_ladder import converge
from tests.engines.geometries import dft, system


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


CASES = [
    ("H2CO", 0, 1, {"functional": "PBE"}),
    ("O2", 0, 3, {"functional": "PBE"}),
    ("H2O", -1, 2, {"functional": "BLYP"}),
    ("H2CO", 0, 1, {"functional": "LDA,VWN"}),
    ("CH3", 0, 2, {"functional": "LDA,VWN"}),
    ("CH3", 0, 2, {"functional": "TPSS"}),
    ("H2CO", 0, 1, {"functional": "TPSS"}),
    ("H2CO", 0, 1, {"functional": "B3LYP", "dispersion": "d3bj"}),
    ("CH3", 0, 2, {"functional": "PBE0", "dispersion": "d4"}),
    ("H2O", 0, 1, {"functional": "PBE", "solvent": "C-PCM"}),
    ("H2O", 0, 1, {"functional": "PBE", "density_fitting": False}),
    ("H2O", 0, 1, {"functional": "HF", "density_fitting": False}),
    slow("H2", 0, 1, {"functional": "wb97x-v"}),
    slow("H2O", 0, 1, {"functional": "PBE", "solvent": "SMD", "dispersion": "d3zero"}),
    slow("CH3", 0, 2, {"functional": "PBE", "solvent": "IEF-PCM"}),
]


@pytest.mark.parametrize(("name", "charge", "multiplicity", "settings"), CASES)
def test_same_energy_and_gradient_as_pyscf(name, charge, multiplicity, settings):
    level = dft(**settings)
    atoms = system(name, charge, multiplicity)
    mol = molecule(atoms, charge, multiplicity, level.basis)
    ours = mean_field(mol, level)
    converge(ours)
    gradient = nuclear_gradient(ours)

    theirs = mean_field(mol, level)
    theirs._numint = numint.NumInt()
    theirs.conv_check = True
    assert theirs.kernel() == pytest.approx(ours.e_tot, abs=2e-8)
    expected = theirs.nuc_grad_method().kernel()
    np.testing.assert_allclose(gradient, expected, atol=2e-5)


@pytest.mark.parametrize(
    ("functional", "energy"),
    [
        ("LDA,VWN_RPA", -76.01330948329),
        ("B88,VWN", -76.69024757861),
        ("B3LYPG", -76.38492889141),  # with the VWN-RPA correlation of Gaussian
    ],
)
def test_published_water(monkeypatch, functional, energy):
    """Constants of pyscf/dft/test/test_h2o.py, hartree."""
    monkeypatch.setattr(radi, "ATOM_SPECIFIC_TREUTLER_GRIDS", False)
    mol = pyscf.gto.M(
        atom=[("O", (0, 0, 0)), ("H", (0, -0.757, 0.587)), ("H", (0, 0.757, 0.587))],
        basis="6-31g",
        verbose=0,
    )
    mf = pyscf.dft.RKS(mol, xc=functional)
    mf._numint = DenseNumInt()
    mf.grids.atom_grid = {"H": (50, 194), "O": (50, 194)}
    mf.grids.prune = gen_grid.treutler_prune
    assert mf.kernel() == pytest.approx(energy, abs=1e-7)


def test_grids_too_large_to_keep_give_the_same(monkeypatch):
    mol = pyscf.gto.M(atom="O 0 0 0; H 0 0.8 0.6; H 0 -0.8 0.6", basis="def2-svp", verbose=0)
    grids = gen_grid.Grids(mol)
    grids.level = 1
    grids.build()
    density = pyscf.dft.RKS(mol).get_init_guess()
    kept = DenseNumInt().nr_rks(mol, grids, "PBE", density)
    monkeypatch.setattr("molsieve.engines.dense_integration.CACHE_BYTES", 0)
    fresh_integration = DenseNumInt()
    fresh = fresh_integration.nr_rks(mol, grids, "PBE", density)
    assert not fresh_integration._kept
    assert fresh[1] == kept[1]
    np.testing.assert_array_equal(fresh[2], kept[2])


def test_grids_are_kept_only_while_memory_is_left(monkeypatch):
    mol = pyscf.gto.M(atom="O 0 0 0; H 0 0.8 0.6; H 0 -0.8 0.6", basis="def2-svp", verbose=0)
    grids = gen_grid.Grids(mol)
    grids.level = 1
    grids.build()
    density = pyscf.dft.RKS(mol).get_init_guess()
    for max_memory_mb, kept in ((100_000, 1), (1, 0)):
        mol.max_memory = max_memory_mb
        integration = DenseNumInt()
        integration.nr_rks(mol, grids, "PBE", density)
        assert len(integration._kept) == kept
