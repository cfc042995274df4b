"""Tables of excited-state labels, splits of them, and committees of heads trained on a part.

A table is a Parquet file with a row a geometry and level: ``smiles``, ``level`` ("low" or "high"),
``numbers``, ``positions_angstrom``, ``scaffold`` (optional) and the columns of ``labels``, as
``property_labels.py`` and ``excited_state_table.py`` write it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold
from tblite.ase import TBLite

from molsieve.campaign import Potential
from molsieve.chem.identities import structure_row
from molsieve.potential.training import train_member
from molsieve.properties.committee import PropertyCommittee
from molsieve.properties.definitions import PROPERTIES
from molsieve.properties.evaluation import member_values
from molsieve.properties.training import train_property_member
from molsieve.properties.training_data import property_values
from molsieve.property_settings import Properties

NAMES = tuple(PROPERTIES)
FIGURES = {"singlet_energy": "eV", "triplet_energy": "eV", "sqrt_strength": "", "gap": "eV"}
"""What errors are told of; the gap is S1 - T1."""
VALIDATION = 8
"""One of so many training molecules decides early stopping."""


@dataclass(frozen=True)
class ExcitedTables:
    """Structures with ``smiles`` and ``scaffold``, and labels by level; all of them are ok."""

    structures: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame


def read_excited(path: Path) -> ExcitedTables:
    """The ok rows of a table."""
    table = pd.read_parquet(path)
    table = table[table["status"] == "ok"].reset_index(drop=True)
    made = []
    for row in table.to_dict("records"):
        atoms = ase.Atoms(row["numbers"], np.reshape(row["positions_angstrom"], (-1, 3)))
        made.append(
            structure_row(
                atoms, species_id=row["smiles"], origin="relaxed", role="ground",
                geometry_protocol_id="benchmark", candidate_id=row["smiles"],
            )
            | {"smiles": row["smiles"], "scaffold": row.get("scaffold") or scaffold(row["smiles"])}
        )  # fmt: skip
    structures = pd.DataFrame(made)
    labels = table.assign(structure_id=structures["structure_id"], level_id=table["level"])
    low, high = (labels[labels["level"] == name] for name in ("low", "high"))
    return ExcitedTables(structures.drop_duplicates("structure_id"), low, high)


def scaffold(smiles: str) -> str:
    """The Murcko scaffold; of an acyclic molecule the number of its unsaturated bonds."""
    molecule = Chem.MolFromSmiles(smiles)
    found = MurckoScaffold.MurckoScaffoldSmiles(mol=molecule)
    if found:
        return str(found)
    bonds = [bond.GetBondTypeAsDouble() > 1 for bond in molecule.GetBonds()]
    return f"acyclic, {sum(bonds)} unsaturated bonds"


def folds(groups: Sequence[str], count: int, seed: int) -> np.ndarray:
    """(S,) the fold of each structure, whole groups together, folds of about equal size.

    The largest groups are dealt first, each to the fold that has least.
    """
    names, of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    load, fold = np.zeros(count), np.zeros(len(names), int)
    for name in order:
        fold[name] = int(np.argmin(load))
        load[fold[name]] += sizes[name]
    return fold[of]


def dataset(structures: pd.DataFrame, test: np.ndarray, seed: int) -> pd.DataFrame:
    """A ``dataset`` in which ``test`` (S,) bool is held out, groups being molecules."""
    smiles = structures["smiles"].to_numpy(str)
    split = np.where(test, "test", "train").astype(object)
    training = np.unique(smiles[~test])
    chosen = np.random.default_rng([seed, 1]).permutation(training)[: len(training) // VALIDATION]
    split[~test & np.isin(smiles, chosen)] = "validation"
    return pd.DataFrame(
        {
            "round": 0, "structure_id": structures["structure_id"], "level_id": "low",
            "species_id": smiles, "split": split, "group": smiles, "why": "seed",
            "candidate_id": smiles,
        }
    )  # fmt: skip


def train_heads(
    rows: pd.DataFrame,
    structures: pd.DataFrame,
    labels: dict[str, pd.DataFrame],
    potential: Potential,
    settings: Properties,
    seed: int,
    members: int,
    energy_members: Sequence[Path] = (),
) -> PropertyCommittee:
    """A committee on the training part of ``rows``; the levels in the order of ``labels``."""
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / str(member) for member in range(members)]
        for member, folder in enumerate(folders):
            train_property_member(
                rows, structures, list(labels.values()), list(labels), NAMES, potential, settings,
                seed, member, folder,
                energy_member=energy_members[member] if energy_members else None,
            )  # fmt: skip
        return PropertyCommittee.load(folders)


def train_energies(
    rows: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    potential: Potential,
    epochs: int,
    folder: Path,
) -> None:
    """An energy member on energies and forces of the training part of ``rows``.

    Those of the labels, as in a campaign; of a table that has none those of GFN2-xTB. (At minima of
    GFN2-xTB its own forces are nil: nothing to learn from.)
    """
    if "forces_ev_per_angstrom" in labels:
        told, free = labels.assign(level_id="low"), {}
    else:
        told, free = tight_binding(structures)
    settings = potential.model_copy(update={"max_epochs": epochs, "patience_epochs": epochs})
    train_member(rows, structures, told, free, settings, "low", 0, 0, folder)


def tight_binding(structures: pd.DataFrame) -> tuple[pd.DataFrame, dict[int, float]]:
    """``labels`` rows of GFN2-xTB, and its free atoms' energies, eV."""
    labels, elements = [], set()
    for row in structures.to_dict("records"):
        atoms = ase.Atoms(row["numbers"], np.reshape(row["positions_angstrom"], (-1, 3)))
        elements |= set(row["numbers"])
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        labels.append(
            {
                "structure_id": row["structure_id"], "level_id": "low", "status": "ok",
                "energy_ev": atoms.get_potential_energy(),
                "forces_ev_per_angstrom": atoms.get_forces().ravel(),
            }
        )  # fmt: skip
    free = {}
    for number in elements:
        atom = ase.Atoms([number], [[0, 0, 0]])
        atom.calc = TBLite(method="GFN2-xTB", verbosity=0)
        free[int(number)] = atom.get_potential_energy()
    return pd.DataFrame(labels), free


def errors(
    committee: PropertyCommittee, structures: pd.DataFrame, labels: pd.DataFrame
) -> np.ndarray:
    """(S, 4) committee's mean less the label, in the order of :data:`FIGURES`."""
    predicted = member_values(committee, structures)
    mean = np.stack([predicted[name].mean(0) for name in NAMES], axis=1)
    return with_gap(mean - property_values(structures["structure_id"], [labels], NAMES)[:, 0])


def with_gap(values: np.ndarray) -> np.ndarray:
    """(S, 3) → (S, 4): S1 - T1 beside the properties."""
    return np.concatenate([values, values[:, :1] - values[:, 1:2]], axis=1)
