"""Guests docked in a framework: poses by loading, or the reason why there are none.

Learnt from VOID (Schwalbe-Koda and Gómez-Bombarelli, J. Phys. Chem. C 125, 3009 (2021)): centres
from the void's own geometry, batches of placements, refusal by distance. Beyond it: the void's
asymmetric part only, placements that settle on an energy grid before they are judged, symmetry
images removed, loadings built from the single poses. Å, eV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase

from molsieve.crystals.framework import Framework
from molsieve.docking.guests import Guest
from molsieve.docking.hosts import Host
from molsieve.docking.loadings import Packing, packings
from molsieve.docking.settings import DockingSettings
from molsieve.docking.singles import Singles, single_poses

__all__ = ["Docking", "DockingSettings", "dock", "dock_in_host", "why_not_dockable"]


@dataclass(frozen=True)
class Docking:
    """What docking one guest in one framework gave.

    Attributes:
        poses: by loading (guests a cell), lowest score first. Atoms of the framework, repeated,
            come first, those of each guest after; guests are whole, not wrapped. ``info``, all
            JSON: ``framework``, ``guest_smiles``, ``loading``, ``guest_indices`` (a list of atom
            indices a guest), ``conformers`` (number of each guest's conformer), ``score_ev`` (van
            der Waals and conformer energy, a guest), ``repeats``, ``charge_e``, ``multiplicity``.
        reasons: why a loading has none.
    """

    poses: dict[int, list[ase.Atoms]]
    reasons: dict[int, str]


def dock(
    framework: Framework,
    guest: Guest,
    loadings: Sequence[int] = (1,),
    repeats: tuple[int, int, int] = (1, 1, 1),
    settings: DockingSettings | None = None,
) -> Docking:
    """Dock ``guest`` in the framework repeated, ``loadings`` guests in that cell.

    For many guests in one framework make a :class:`Host` once and call :func:`dock_in_host`.

    Raises:
        VanDerWaalsError: an element without van der Waals parameters.
    """
    return dock_in_host(Host(framework.atoms), framework.name, guest, loadings, repeats, settings)


def dock_in_host(
    host: Host,
    name: str,
    guest: Guest,
    loadings: Sequence[int] = (1,),
    repeats: tuple[int, int, int] = (1, 1, 1),
    settings: DockingSettings | None = None,
) -> Docking:
    """The same in a host that is ready, of the framework called ``name``."""
    settings = settings or DockingSettings()
    largest = max(loadings)
    most = settings.most_poses if largest == 1 else max(settings.most_poses, settings.library)
    singles = single_poses(host, guest, repeats, settings, most)
    if singles.reason is not None:
        return Docking({}, dict.fromkeys(loadings, singles.reason))
    found = packings(host, guest, singles, repeats, largest, settings)
    frame = host.atoms.repeat(repeats)
    poses = {
        n: [
            _complex(frame, name, guest, packing, repeats)
            for packing in found[n][: settings.most_poses]
        ]
        for n in loadings
        if n in found
    }
    return Docking(poses, {n: _full(n, max(found), singles) for n in loadings if n not in found})


def why_not_dockable(
    framework: Framework,
    guest: Guest,
    repeats: tuple[int, int, int] = (1, 1, 1),
    settings: DockingSettings | None = None,
) -> str | None:
    """Why the guest has no pose in the framework, or None if it has one."""
    host = Host(framework.atoms)
    return single_poses(host, guest, repeats, settings or DockingSettings(), 1).reason


def _full(wanted: int, reached: int, singles: Singles) -> str:
    return (
        f"no room: {reached} of {wanted} guests were brought in without a clash, each begun at one"
        f" of {len(singles.energies_ev)} distinct poses or a symmetry image of it"
    )


def _complex(
    frame: ase.Atoms,
    name: str,
    guest: Guest,
    packing: Packing,
    repeats: tuple[int, int, int],
) -> ase.Atoms:
    atoms = frame.copy()
    indices = []
    for positions in packing.positions:
        indices.append(list(range(len(atoms), len(atoms) + len(positions))))
        atoms += ase.Atoms(numbers=guest.numbers, positions=positions)
    atoms.info = {
        "framework": name,
        "guest_smiles": guest.smiles,
        "loading": len(packing),
        "guest_indices": indices,
        "conformers": [int(c) for c in packing.conformers],
        "score_ev": packing.energy_ev / len(packing),
        "repeats": list(repeats),
        "charge_e": guest.charge_e * len(packing),
        "multiplicity": 1,
    }
    return atoms
