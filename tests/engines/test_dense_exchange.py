"""Density-fitted exchange by matrix products: PySCF's matrices, slopes of the energy."""

import numpy as np
import pyscf.df
import pyscf.dft
import pytest

from molsieve.engines import dense_exchange
from molsieve.engines import pyscf as engine
from molsieve.engines.dense_exchange import DenseDF
from molsieve.engines.scf_ladder import converge
from tests.engines.geometries import dft, slope, system


def converged(level, name="H2CO", charge=0, multiplicity=1):
    atoms = system(name, charge, multiplicity)
    mf = engine.mean_field(engine.molecule(atoms, charge, multiplicity, level.basis), level)
    converge(mf)
    return mf


@pytest.mark.parametrize("multiplicity", [1, 3])
@pytest.mark.parametrize("omega", [None, 0.3])
@pytest.mark.parametrize("kept", [True, False])
def test_matrices_are_those_of_pyscf(multiplicity, omega, kept, monkeypatch):
    if not kept:
        monkeypatch.setattr(dense_exchange, "KEPT_BYTES", 0)
    level = dft(functional="PBE0", basis="6-31G")
    mf = converged(level, multiplicity=multiplicity)
    assert isinstance(mf.with_df, DenseDF)
    dm = mf.make_rdm1()
    plain = pyscf.df.DF(mf.mol, mf.with_df.auxbasis)
    for _ in range(2):  # the second from memory
        ours = mf.with_df.get_jk(dm, omega=omega, with_j=omega is None)
    theirs = plain.get_jk(dm, omega=omega, with_j=omega is None)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-9)
    if omega is None:
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-9)


@pytest.mark.parametrize(
    ("functional", "charge", "multiplicity"),
    [
        ("CAM-B3LYP", 0, 1),
        pytest.param("WB97X", 1, 2, marks=pytest.mark.slow),
        pytest.param("HSE06", 0, 1, marks=pytest.mark.slow),
    ],
)
def test_forces_with_exchange_by_range_are_minus_the_slope(functional, charge, multiplicity):
    level = dft(functional=functional, grid_level=3, basis="6-31G")
    numerical, analytical = slope(system("H2O", charge, multiplicity), level)
    assert abs(analytical) > 0.01
    assert analytical == pytest.approx(numerical, abs=2e-3)


@pytest.mark.parametrize("functional", ["PBE0", "WB97X"])
def test_forces_are_those_of_pyscf(functional):
    level = dft(functional=functional, basis="6-31G", grid_level=1, scf_tolerance_hartree=1e-10)
    mf = converged(level)
    plain = pyscf.dft.RKS(mf.mol, xc=functional).density_fit(auxbasis=mf.with_df.auxbasis)
    plain.grids.level, plain.conv_tol = 1, 1e-10
    plain.run()
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-8)
    from molsieve.engines.pyscf_gradient import nuclear_gradient

    np.testing.assert_allclose(nuclear_gradient(mf), plain.Gradients().kernel(), atol=1e-5)
