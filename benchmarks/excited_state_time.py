"""Time of one label with excited states by size of the molecule: ours against plain PySCF, one run.

A label is the ground state's energy and forces, three singlets and three triplets with their
oscillator strengths (TDA). The peer is what a PySCF user types, at the same functional, basis, grid
and tolerance, one thread:

    mf = dft.RKS(mol, xc=...).density_fit().run(); mf.Gradients().run(); mf.TDA().run(nstates=3)

and the same without density fitting; the faster of the two counts. Errors are those of our label
against the peer that makes the same density fitting, so that they show what the coarse kernel grid,
the frozen core and the looser residual cost. CPU seconds, so that other work on the machine counts
little. What the log holds is not timed again: delete it for one run.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ase
import numpy as np
import pyscf.dft
from rdkit import Chem
from rdkit.Chem import AllChem

from molsieve.engines import compute_label
from molsieve.engines.pyscf import molecule
from molsieve.levels import parse_level
from molsieve.units import EV_PER_HARTREE

MOLECULES = {
    "formaldehyde": "C=O",
    "acrolein": "C=CC=O",
    "aminoacrylonitrile": "N/C=C/C#N",
    "2-nitrovinylamine": "N/C=C/[N+](=O)[O-]",
    "2-aminofuran-5-carbonitrile": "Nc1ccc(C#N)o1",
    "4-aminobenzonitrile": "Nc1ccc(C#N)cc1",
    "4-nitroaniline": "Nc1ccc([N+](=O)[O-])cc1",
    "4-(dimethylamino)benzonitrile": "CN(C)c1ccc(C#N)cc1",
    "4-(carbazol-9-yl)benzonitrile": "N#Cc1ccc(-n2c3ccccc3c3ccccc32)cc1",
    "2,6-di(carbazol-9-yl)benzonitrile": ("N#Cc1c(-n2c3ccccc3c3ccccc32)cccc1-n1c2ccccc2c2ccccc21"),
}
ROOTS = 3


def main() -> None:
    """One line a molecule; the claim last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functional", default="PBE0")
    parser.add_argument("--basis", default="def2-SVP")
    parser.add_argument("--molecules", nargs="+", default=list(MOLECULES), choices=list(MOLECULES))
    parser.add_argument("--peer-atoms", type=int, default=16, help="no peer beyond this size")
    parser.add_argument("--exact-atoms", type=int, default=10, help="no unfitted peer beyond this")
    parser.add_argument("--log", type=Path, default=Path("benchmarks/results/excited_time.jsonl"))
    arguments = parser.parse_args()
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    level = {"engine": "pyscf", "functional": arguments.functional, "basis": arguments.basis}
    compute_label(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), parse_level(level))  # imports, tables
    known = timings(arguments)
    for name in arguments.molecules:
        if name not in known:
            known[name] = compared(name, arguments)
            with arguments.log.open("a") as log:
                log.write(json.dumps(known[name]) + "\n")
        print(words(known[name]), flush=True)
    claim([known[name] for name in arguments.molecules], arguments)


def timings(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Rows of the log with this functional and basis, by molecule."""
    lines = arguments.log.read_text().splitlines() if arguments.log.exists() else []
    asked = {"functional": arguments.functional, "basis": arguments.basis}
    rows = [json.loads(line) for line in lines]
    return {row["name"]: row for row in rows if asked.items() <= row.items()}


def compared(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of our label and of its peers, and our errors."""
    atoms = geometry(MOLECULES[name])
    settings = {
        "engine": "pyscf",
        "functional": arguments.functional,
        "basis": arguments.basis,
        "grid_level": 1,
    }
    excitations = {"singlets": ROOTS, "triplets": ROOTS}
    ground_s, _ = timed(lambda: compute_label(atoms, parse_level(settings)))
    level = parse_level({**settings, "excitations": excitations})
    label_s, label = timed(lambda: compute_label(atoms, level))
    row: dict[str, Any] = {
        "name": name,
        "atoms": len(atoms),
        "functional": arguments.functional,
        "basis": arguments.basis,
        "basis_functions": int(molecule(atoms, 0, 1, arguments.basis).nao),
        "ground_s": ground_s,
        "label_s": label_s,
    }
    if len(atoms) <= arguments.peer_atoms:
        row |= {"fitted": peer(atoms, arguments, True)}
        row |= errors(label.excited_states, row["fitted"])
    if len(atoms) <= arguments.exact_atoms:
        row |= {"exact": peer(atoms, arguments, False)}
    return row


def geometry(smiles: str) -> ase.Atoms:
    """The GFN2-xTB minimum."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(mol)
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    atoms = ase.Atoms(symbols, mol.GetConformer().GetPositions())
    label = compute_label(atoms, parse_level({"engine": "tblite", "geometry": "optimised"}))
    atoms.positions[:] = label.final_positions_angstrom
    return atoms


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and the result."""
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def peer(atoms: ase.Atoms, arguments: argparse.Namespace, fitted: bool) -> dict[str, Any]:
    """CPU seconds and roots of stock PySCF."""
    mol = molecule(atoms, 0, 1, arguments.basis)
    mf = pyscf.dft.RKS(mol, xc=arguments.functional)
    mf = mf.density_fit() if fitted else mf
    mf.grids.level = 1
    ground_s, _ = timed(lambda: (mf.run(), mf.Gradients().run()))
    roots: dict[str, Any] = {"ground_s": ground_s}
    excited_s = 0.0
    for singlet in (True, False):
        td = mf.TDA()
        td.singlet = singlet
        seconds, _ = timed(lambda td=td: td.run(nstates=ROOTS))
        excited_s += seconds
        roots["singlets" if singlet else "triplets"] = (td.e * EV_PER_HARTREE).tolist()
        if singlet:
            roots["strengths"] = td.oscillator_strength(gauge="length").tolist()
    return roots | {"excited_s": excited_s, "label_s": ground_s + excited_s}


def errors(states: Any, plain: dict[str, Any]) -> dict[str, float]:
    """Largest differences of our roots to the peer's: of S1, T1, all roots (eV), and of f."""
    singlets = np.abs(states.singlet_energies_ev - plain["singlets"])
    triplets = np.abs(states.triplet_energies_ev - plain["triplets"])
    strengths = np.abs(states.oscillator_strengths - plain["strengths"])
    return {
        "s1_error_ev": float(singlets[0]),
        "t1_error_ev": float(triplets[0]),
        "root_error_ev": float(max(singlets.max(), triplets.max())),
        "strength_error": float(strengths.max()),
    }


def words(row: dict[str, Any]) -> str:
    """A row in one line."""
    said = (
        f"{row['name']:30s} {row['atoms']:2d} atoms {row['basis_functions']:3d} functions | ours "
        f"{row['label_s']:.1f} s (of it ground state and forces {row['ground_s']:.1f})"
    )
    for kind in ("fitted", "exact"):
        if kind in row:
            said += f" | plain {kind} {row[kind]['label_s']:.1f} ({row[kind]['ground_s']:.1f})"
    if "fitted" in row:
        said += (
            f" | errors S1 {1000 * row['s1_error_ev']:.1f} T1 {1000 * row['t1_error_ev']:.1f} any "
            f"root {1000 * row['root_error_ev']:.1f} meV, f {row['strength_error']:.1e}"
        )
    return said


def claim(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """The largest molecule that has a peer, and the largest errors of all."""
    rows = [row for row in rows if "fitted" in row]
    if not rows:
        return
    last = max(rows, key=lambda row: row["atoms"])
    peers = [last[kind] for kind in ("fitted", "exact") if kind in last]
    best = min(peer["label_s"] for peer in peers)
    excited = min(peer["excited_s"] for peer in peers)
    own = max(last["label_s"] - last["ground_s"], 1e-3)
    print(
        f"claim: CPU s of one label (energy, forces, {ROOTS} singlets, {ROOTS} triplets; TDA "
        f"{arguments.functional}/{arguments.basis}, {last['atoms']} atoms, one core)"
        f" | ours: {last['label_s']:.1f} | peer: {best:.1f} (plain PySCF)"
        f" | ratio: {best / last['label_s']:.1f}; roots alone: {own:.1f} against {excited:.1f}, "
        f"a factor of {excited / own:.0f}; largest error of {len(rows)} molecules: S1 "
        f"{1000 * max(r['s1_error_ev'] for r in rows):.1f} meV, T1 "
        f"{1000 * max(r['t1_error_ev'] for r in rows):.1f} meV, f "
        f"{max(r['strength_error'] for r in rows):.1e}"
    )


if __name__ == "__main__":
    main()
