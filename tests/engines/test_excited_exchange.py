"""Exact exchange of excitations where memory is short."""

import numpy as np
import pytest
from pyscf import lib

from molsieve.engines import compute_label, excited_exchange
from tests.engines.geometries import dft, system


def test_integrals_in_a_file_give_the_same_roots(monkeypatch, tmp_path):
    """Sixty atoms at a range-separated level have nine gigabytes of them, a worker has three."""
    level = dft(
        functional="CAM-B3LYP", basis="3-21G", grid_level=0,
        excitations={"singlets": 1, "triplets": 1, "kernel_grid_level": None},
    )  # fmt: skip
    monkeypatch.setattr(excited_exchange, "DENSE_BYTES", 0)
    kept = compute_label(system("H2O"), level).excited_states
    monkeypatch.setattr(excited_exchange, "KEPT_SHARE", 0)
    monkeypatch.setattr(lib.param, "TMPDIR", str(tmp_path))
    filed, made = [], np.memmap
    monkeypatch.setattr(np, "memmap", lambda *a, **k: filed.append(made(*a, **k)) or filed[-1])
    told = compute_label(system("H2O"), level).excited_states
    assert len(filed) >= 4 and not list(tmp_path.iterdir())
    np.testing.assert_allclose(told.singlet_energies_ev, kept.singlet_energies_ev, atol=1e-9)
    np.testing.assert_allclose(told.triplet_energies_ev, kept.triplet_energies_ev, atol=1e-9)


def test_no_space_for_them_is_an_error_not_a_signal(monkeypatch):
    molecule = type("Mole", (), {"max_memory": 0.0})()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(excited_exchange.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        excited_exchange._array((4, 3), molecule)
