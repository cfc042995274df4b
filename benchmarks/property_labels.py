"""A table of real excited states of small chromophores: several geometries, two levels of theory.

Substituted ethenes, carbonyls, imines, alkynes, dienes, five- and six-membered heterocycles of 5
to 11 atoms (the parent is a molecule's scaffold), each at its GFN2-xTB minimum and twice displaced
at random (0.06 Å). Low level: TDA-B3LYP/STO-3G, all geometries; high level: TDA-PBE0/6-31G, minima
only. Two singlets and a triplet each, plain PySCF, one core; seconds are process time. A stopped
run goes on where it was; ``<folder>/table.parquet`` is written at the end and on every 50th label.

    python benchmarks/property_labels.py [--folder benchmarks/results/property_labels] [--limit N]

The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ase
import numpy as np
import pandas as pd
from ase.optimize import BFGS
from pyscf import dft, gto, tdscf
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from tblite.ase import TBLite

from molsieve.tables import SCHEMAS, atomic_path
from molsieve.units import EV_PER_HARTREE

FOLDER = Path(__file__).parent / "results" / "property_labels"
LEVELS = {"low": ("b3lyp", "sto-3g"), "high": ("pbe0", "6-31g")}
GEOMETRIES, DISPLACEMENT_ANGSTROM = 3, 0.06
ATOMS = range(5, 12)
PARENTS = (
    "C=C*", "C=CC=C*", "O=C*", "C=CC=O", "c1ccccc1*", "c1ccncc1*", "c1cc[nH]c1*", "c1ccoc1*",
    "c1ccsc1*", "C1=CC=CC1*", "c1c[nH]cn1", "c1cnccn1", "O=CC=O", "N#C*", "C=N*", "O=CO", "O=CN",
    "C=NN*", "C=C=C*", "C#C*", "C#CC=C*", "C1=CC1*", "c1cnc[nH]1", "O=C1C=CC(=O)O1", "n1cncnc1*",
    "c1cnncc1*", "C=CC=C(*)C#N", "O=C(*)C=C",
)  # fmt: skip
SUBSTITUENTS = (
    "[H]", "C", "N", "O", "F", "C#N", "C=O", "[N+](=O)[O-]", "C=C", "S", "Cl", "C(=O)N",
)  # fmt: skip
DUMMY = Chem.MolFromSmarts("[#0]")


def chromophores() -> dict[str, str]:
    """SMILES → parent, in an order drawn by a seed."""
    found: dict[str, str] = {}
    for parent in PARENTS:
        for substituent in SUBSTITUENTS if "*" in parent else ("[H]",):
            smiles = substituted(parent, substituent)
            if smiles and Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms() in ATOMS:
                found.setdefault(smiles, parent)
    names = sorted(found)
    np.random.default_rng(0).shuffle(names)
    return {name: found[name] for name in names}


def substituted(parent: str, substituent: str) -> str | None:
    """Canonical SMILES, None where the valence does not allow it."""
    molecule = Chem.MolFromSmiles(parent)
    if substituent == "[H]":
        made = Chem.DeleteSubstructs(molecule, DUMMY)
    else:
        group = Chem.MolFromSmiles(substituent)
        made = AllChem.ReplaceSubstructs(molecule, DUMMY, group, replaceAll=True)[0]
    checked = Chem.MolFromSmiles(Chem.MolToSmiles(made))
    return None if checked is None else Chem.MolToSmiles(checked)


def geometries(smiles: str) -> list[ase.Atoms]:
    """The GFN2-xTB minimum and displaced copies; none where it cannot be embedded."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(molecule, randomSeed=1):
        return []
    AllChem.MMFFOptimizeMolecule(molecule)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    atoms = ase.Atoms(numbers, molecule.GetConformer().GetPositions())
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=0.05, steps=100)
    rng = np.random.default_rng(int.from_bytes(smiles.encode()[-6:], "big"))
    made = [ase.Atoms(numbers, np.round(atoms.positions, 5))]
    for _ in range(GEOMETRIES - 1):
        moved = atoms.positions + rng.normal(size=atoms.positions.shape) * DISPLACEMENT_ANGSTROM
        made.append(ase.Atoms(numbers, np.round(moved, 5)))
    return made


def label(atoms: ase.Atoms, level: str) -> dict | None:
    """Excited states and their seconds; None where something does not converge."""
    functional, basis = LEVELS[level]
    start = time.process_time()
    places = list(zip(atoms.numbers.tolist(), atoms.positions, strict=True))
    mean_field = dft.RKS(gto.M(atom=places, basis=basis, verbose=0), xc=functional)
    mean_field.grids.level = 0
    mean_field.kernel()
    singlets, triplets = tdscf.TDA(mean_field), tdscf.TDA(mean_field)
    singlets.nstates, triplets.nstates, triplets.singlet = 2, 1, False
    for roots in (singlets, triplets):
        roots.conv_tol = 1e-4
        try:
            roots.kernel()
        except RuntimeError:  # PySCF: "Not enough eigenvalues"
            return None
    if not (mean_field.converged and np.all(singlets.converged) and np.all(triplets.converged)):
        return None
    return {
        "energy_ev": float(mean_field.e_tot * EV_PER_HARTREE),
        "singlet_energies_ev": (np.array(singlets.e) * EV_PER_HARTREE).tolist(),
        "triplet_energies_ev": (np.array(triplets.e) * EV_PER_HARTREE).tolist(),
        "oscillator_strengths": np.array(singlets.oscillator_strength()).tolist(),
        "root_converged": [True] * 3,
        "wall_s": time.process_time() - start,
    }


def main() -> None:
    """Label what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--limit", type=int, default=None, help="molecules, at most")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    RDLogger.DisableLog("rdApp.*")
    journal = arguments.folder / "labels.jsonl"
    rows = (
        [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    )
    done = {(row["smiles"], row["geometry"], row["level"]) for row in rows}
    molecules = list(chromophores().items())[: arguments.limit]
    for smiles, parent in molecules:
        wanted = [
            (g, level) for g in range(GEOMETRIES) for level in LEVELS if level == "low" or not g
        ]
        wanted = [key for key in wanted if (smiles, *key) not in done]
        made = geometries(smiles) if wanted else []
        for geometry, level in wanted if made else ():
            found = label(made[geometry], level)
            row = {
                "smiles": smiles, "scaffold": parent, "geometry": geometry, "level": level,
                "numbers": made[geometry].numbers.tolist(),
                "positions_angstrom": made[geometry].positions.ravel().tolist(),
                "status": "failed" if found is None else "ok", **(found or {}),
            }  # fmt: skip
            rows.append(row)
            with open(journal, "a") as stream:
                stream.write(json.dumps(row) + "\n")
            if len(rows) % 50 == 0:
                write(rows, arguments.folder)
    write(rows, arguments.folder)
    seconds = pd.DataFrame(rows).groupby("level")["wall_s"].mean()
    print(
        f"claim: real excited states of {len(molecules)} molecules | ours: {len(rows)} labels | "
        f"peer: {seconds['low']:.2f} s low, {seconds['high']:.2f} s high a label | "
        f"ratio: {seconds['high'] / seconds['low']:.1f}"
    )


def write(rows: list[dict], folder: Path) -> None:
    """``table.parquet``: what the other property benchmarks read."""
    frame = pd.DataFrame(rows)
    names = ["smiles", "scaffold", "geometry", "level", "numbers", "positions_angstrom"]
    kept = [*names, *(name for name in SCHEMAS["labels"].names if name in frame)]
    with atomic_path(folder / "table.parquet") as temporary:
        frame[kept].to_parquet(temporary, index=False)


if __name__ == "__main__":
    main()
