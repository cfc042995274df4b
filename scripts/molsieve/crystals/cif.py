"""Frameworks from CIF files, read by pymatgen, symmetrised or P1; what is broken is refused.

Nothing is repaired in silence. Guests and water are refused by name, or left out on request;
charge-compensating cations are part of what was asked for and stay.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import ase
import numpy as np
from ase.data import covalent_radii
from matscipy.neighbours import neighbour_list
from pymatgen.core import DummySpecies, Structure
from pymatgen.io.cif import CifParser

from molsieve.chem.connectivity import BOND_TOLERANCE
from molsieve.crystals.framework import Framework, FrameworkError
from molsieve.crystals.soundness import HYDROXYL_ANGSTROM, LABELS, kinds_of

SITE_TOLERANCE = 1e-3
"""Fractional difference below which images of one row are one atom: rows with four decimals leave
2e-4 between the copies of a special position."""
OCCUPANCY_TOLERANCE = 1e-3
"""Files round occupancies; a row of none is no atom."""


def read_framework(path: str | Path, *, strip_guests: bool = False) -> Framework:
    """The framework in a CIF file, named after the file.

    Args:
        path: one structure; P1 or with symmetry.
        strip_guests: leave out guests and water: every atom that is not a T atom with oxygens
            around it, an oxygen on a T atom, hydrogen on such an oxygen, or a cation. Refused
            otherwise.

    Raises:
        FrameworkError: unreadable, or not a sound framework: which atom, and what is wrong.
    """
    path = Path(path)
    try:
        structure = _parsed(path)
        if strip_guests:
            structure = _without_guests(structure)
        _check_occupancies(structure)
        return Framework(path.stem, _atoms(structure))
    except FrameworkError as error:
        raise FrameworkError(f"{path.name}: {error}") from None


def read_folder(
    folder: str | Path, *, strip_guests: bool = False
) -> Iterator[tuple[str, Framework | FrameworkError]]:
    """Each CIF file of a folder by name: its framework, or why it is refused.

    One at a time, so that a database of any size can be sieved.

    Raises:
        FrameworkError: no such folder, or no CIF file in it.
    """
    paths = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() == ".cif")
    if not paths:
        raise FrameworkError(f"{folder}: no folder with CIF files (*.cif)")
    for path in paths:
        try:
            yield path.stem, read_framework(path, strip_guests=strip_guests)
        except FrameworkError as error:
            yield path.stem, error


def _parsed(path: Path) -> Structure:
    """The one structure of a CIF file, disorder and all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # occupancies are judged below: pymatgen's own message does not name the atom
            parser = CifParser(path, site_tolerance=SITE_TOLERANCE)
            found = parser.parse_structures(primitive=False, check_occu=False, on_error="ignore")
        except FileNotFoundError:
            raise FrameworkError("no such file") from None
        except Exception as error:  # pymatgen raises whatever its parser meets
            raise FrameworkError(f"pymatgen reads no structure from it: {error}") from error
    if len(found) != 1:
        raise FrameworkError(f"{len(found)} structures in one file; give each its own")
    _check_rows(parser, found[0])
    empty = [i for i, site in enumerate(found[0]) if _occupancy(site) < OCCUPANCY_TOLERANCE]
    found[0].remove_sites(empty)
    return found[0]


def _occupancy(site) -> float:
    """How many atoms sit on a site."""
    return float(sum(site.species.values()))


def _where(site) -> str:
    """A site as a message names it."""
    x, y, z = site.frac_coords % 1.0
    return f"{site.label} at ({x:.4f}, {y:.4f}, {z:.4f})"


def _check_rows(parser: CifParser, structure: Structure) -> None:
    """Refuse rows that stand for no element: pymatgen drops some and invents others."""
    for site in structure:
        for species in site.species:
            # a label such as T1, without a type symbol, is read as tritium
            if isinstance(species, DummySpecies) or getattr(species, "name", "") == "T":
                raise FrameworkError(f"{_where(site)} is of no element")
    if any(len(site.species) > 1 or _occupancy(site) > 1.0 for site in structure):
        return  # rows that share a place have lost a label, and are refused for that
    blocks = parser.as_dict().values()
    rows = {row for block in blocks for row in block.get("_atom_site_label", ())}
    dropped = sorted(rows - set(structure.labels))
    if dropped:
        raise FrameworkError(f"row {dropped[0]} of the file names no element that pymatgen knows")


def _check_occupancies(structure: Structure) -> None:
    """Refuse sites that are shared, partly occupied, or occupied twice."""
    for site in structure:
        if site.properties.get("implicit_hydrogens"):
            raise FrameworkError(f"{_where(site)} stands for water or OH, without its hydrogens")
        if len(site.species) == 1 and abs(_occupancy(site) - 1.0) <= OCCUPANCY_TOLERANCE:
            continue
        shares = ", ".join(f"{s.symbol} {share:.3g}" for s, share in site.species.items())
        if _occupancy(site) > 1.0 + OCCUPANCY_TOLERANCE:
            reason = "taken by more than one atom: two rows on one place overlap"
        elif len(site.species) > 1:
            reason = "shared by several elements"
        else:
            reason = "partially occupied"
        raise FrameworkError(f"{_where(site)} is {reason} ({shares})")


def _atoms(structure: Structure) -> ase.Atoms:
    """ASE atoms of a structure, each site by its first element, with the file's labels."""
    atoms = ase.Atoms(
        numbers=[next(iter(site.species)).Z for site in structure],
        scaled_positions=structure.frac_coords % 1.0,
        cell=structure.lattice.matrix,
        pbc=True,
    )
    atoms.set_array(LABELS, np.array(structure.labels, dtype=str))
    return atoms


def _without_guests(structure: Structure) -> Structure:
    """Only T atoms with oxygens, oxygens on them, hydrogen on those, and cations."""
    atoms = _atoms(structure)
    kinds = kinds_of(atoms.numbers)
    radii = covalent_radii[atoms.numbers]
    longest = 2.0 * BOND_TOLERANCE * float(radii.max())
    i, j, length = neighbour_list("ijd", atoms, longest)
    bonded = length < BOND_TOLERANCE * (radii[i] + radii[j])
    to = bonded & (kinds[i] == "T") & (kinds[j] == "O")
    hydroxyl = (kinds[i] == "H") & np.isin(j, j[to]) & (length < HYDROXYL_ANGSTROM)
    kept = np.union1d(np.union1d(i[to], j[to]), i[hydroxyl])
    kept = np.union1d(kept, np.flatnonzero(kinds == "cation"))
    if len(kept) == 0:
        raise FrameworkError("no T atom with oxygens, so nothing but guests")
    return Structure.from_sites([structure[k] for k in kept])
