"""Structures out of whatever file a user has, one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import ase.db
import ase.io
import numpy as np

from molsieve.chem.identities import atoms_from_row
from molsieve.section import CampaignError

CHARGE_KEYS = ("charge_e", "charge", "total_charge")
MULTIPLICITY_KEYS = ("multiplicity", "spin_multiplicity")
SMILES_ENDINGS = (".smi", ".smiles")
CONFORMERS = 8
"""Of a SMILES; the lowest in the force field is taken."""


@dataclass(frozen=True)
class Given:
    """A structure as it was given.

    Attributes:
        index: its place in the file, from 0. name: what the file calls it.
        atoms: charge and multiplicity in ``info``; None where there are none, for ``reason``.
        rough: the geometry is a force field's: it has to be relaxed.
    """

    index: int
    name: str | None
    atoms: ase.Atoms | None
    reason: str | None = None
    rough: bool = False


def read_structures(
    path: Path, charge_e: int | None = None, multiplicity: int | None = None, seed: int = 1
) -> Iterator[Given]:
    """Every structure of a file, in its order.

    ``.parquet`` is a ``structures`` table, ``.smi`` holds SMILES, all else is for ASE to read.

    Args:
        charge_e, multiplicity: of structures that do not say their own; else 0 (of a SMILES: its
            formal charge) and 1.
        seed: of the embedding of SMILES.

    Raises:
        CampaignError: the file is missing or cannot be read.
    """
    if not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "no such file"
        raise CampaignError(f"{path}: {what}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise CampaignError(f"{path}: {error.strerror}") from error
    if path.suffix.lower() in SMILES_ENDINGS:
        return _of_smiles(path, multiplicity, seed)
    if path.suffix.lower() == ".parquet":
        return _of_table(path)
    return _of_ase(path, charge_e, multiplicity)


def _of_table(path: Path) -> Iterator[Given]:
    from molsieve.table_streams import iter_table
    from molsieve.tables import TableError

    index = 0
    try:
        for frame in iter_table(path, "structures"):
            for row in frame.to_dict("records"):
                yield Given(index, row["structure_id"], atoms_from_row(row))
                index += 1
    except TableError as error:
        raise CampaignError(str(error)) from error


def _of_ase(path: Path, charge_e: int | None, multiplicity: int | None) -> Iterator[Given]:
    frames = _of_database(path) if path.suffix.lower() == ".db" else ase.io.iread(path)
    index = 0
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of CIF's finer points
                atoms = next(frames)
        except StopIteration:
            break
        except Exception as error:  # each of ASE's readers has exceptions of its own
            why = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise CampaignError(f"{path}: ASE cannot read structure {index}: {why}") from error
        yield _stated(index, atoms, charge_e, multiplicity)
        index += 1
    if not index:
        raise CampaignError(f"{path}: no structure in it")


def _of_database(path: Path) -> Iterator[ase.Atoms]:
    """Rows of an ASE database with what they say of themselves; ``ase.io`` drops that."""
    with ase.db.connect(path) as database:
        for row in database.select():
            atoms = row.toatoms()
            atoms.info |= row.key_value_pairs
            yield atoms


def _stated(index: int, atoms: ase.Atoms, charge_e: int | None, multiplicity: int | None) -> Given:
    """The structure with charge and multiplicity under our names, or why it is none."""
    said = atoms.info
    name = next((str(said[key]) for key in ("name", "structure_id", "label") if key in said), None)
    if not len(atoms):
        return Given(index, name, None, "no atom in it")
    if any(share < 1 for site in said.get("occupancy", {}).values() for share in site.values()):
        return Given(index, name, None, "sites are occupied partially: give an ordered structure")
    try:
        info = {
            "charge_e": _whole(said, CHARGE_KEYS, 0 if charge_e is None else charge_e),
            "multiplicity": _whole(said, MULTIPLICITY_KEYS, multiplicity or 1),
        }
    except ValueError as error:
        return Given(index, name, None, str(error))
    bare = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info=info)
    return Given(index, name, bare)


def _whole(said: dict[str, Any], keys: tuple[str, ...], default: int) -> int:
    """The first of ``keys`` that is said, as a whole number.

    Raises:
        ValueError: it is none.
    """
    for key in keys:
        if key in said:
            value = np.asarray(said[key])
            if value.ndim or value.dtype.kind not in "iuf" or value != np.round(value):
                raise ValueError(f"{key} is {said[key]}, not a whole number")
            return int(value)
    return default


def _of_smiles(path: Path, multiplicity: int | None, seed: int) -> Iterator[Given]:
    from molsieve.chem.molecule_files import MoleculeFileError, read_smiles

    try:
        for index, smiles in enumerate(read_smiles(path, "smiles", "")):
            yield _embedded(index, smiles, multiplicity, seed)
    except MoleculeFileError as error:
        raise CampaignError(str(error)) from error


def _embedded(index: int, smiles: str, multiplicity: int | None, seed: int) -> Given:
    from molsieve.chem.conformers import EmbeddingError, embed_conformers
    from molsieve.chem.molecules import MoleculeError, parse_molecule

    try:
        atoms = embed_conformers(parse_molecule(smiles), CONFORMERS, seed).atoms(0)
    except (MoleculeError, EmbeddingError) as error:
        return Given(index, smiles, None, str(error))
    atoms.info["multiplicity"] = multiplicity or 1
    return Given(index, smiles, atoms, rough=True)
