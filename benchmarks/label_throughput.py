"""Labels a second: the worker pool against one calculation at a time in a plain ASE loop.

The same geometries of the same quinones at GFN2-xTB, once through ``label_structures`` (journals,
claims, label store, receipt and the start of the workers included in the time) and once through
``tblite.ase.TBLite`` in a loop with one thread. ``--all-threads`` runs the loop with all cores as
well (slow where others work on them) and takes the faster loop as the peer. Both give the same
energies, which is checked.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import ase
import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem import AllChem

from molsieve import tables
from molsieve.campaign import Run
from molsieve.chem.identities import atoms_from_row, structure_row
from molsieve.labelling import label_structures, read_labels
from molsieve.levels import level_id, parse_level

SCAFFOLDS = [
    "O=C1C=C({})C(=O)C=C1{}",
    "O=C1C=C({})C(=O)c2ccc({})cc12",
    "O=C1c2ccc({})cc2C(=O)c2ccc({})cc12",
]
SUBSTITUENTS = ["C", "O", "N", "F", "OC", "C#N"]
LEVEL = parse_level({"engine": "tblite", "method": "GFN2-xTB"})


def quinones(molecules: int, geometries: int) -> pd.DataFrame:
    """``geometries`` displaced copies (0.03 Å, seeded) of each of ``molecules`` quinones."""
    rng = np.random.default_rng(1)
    smiles = [s.format(a, b) for s in SCAFFOLDS for a, b in product(SUBSTITUENTS, repeat=2)]
    # A scaffold's substituent pairs come in one run: steps of 7 mix sizes (108 = 4 * 27).
    rows = []
    for i in range(molecules):
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles[7 * i % len(smiles)]))
        AllChem.EmbedMolecule(molecule, randomSeed=1)
        AllChem.MMFFOptimizeMolecule(molecule)
        positions = molecule.GetConformer().GetPositions()
        for _ in range(geometries):
            moved = positions + rng.normal(scale=0.03, size=positions.shape)
            atoms = ase.Atoms([a.GetSymbol() for a in molecule.GetAtoms()], moved)
            rows.append(
                structure_row(atoms, species_id="x", origin="displaced", geometry_protocol_id="x")
            )
    return pd.DataFrame(rows)


def plain_loop(structures: pd.DataFrame) -> tuple[float, np.ndarray]:
    """Seconds and energies (eV) of ASE's usual loop, imports not counted."""
    from tblite.ase import TBLite

    started = time.perf_counter()
    energies = []
    for row in structures.to_dict("records"):
        atoms = atoms_from_row(row)
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        energies.append(atoms.get_potential_energy())
        atoms.get_forces()
    return time.perf_counter() - started, np.array(energies)


def loop_with(threads: int, structures: Path) -> tuple[float, np.ndarray]:
    """:func:`plain_loop` in a process of its own with that many threads."""
    result = structures.with_name(f"loop{threads}.npz")
    cpu = children_cpu_s()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--loop", str(structures), str(result)]
    subprocess.run(command, env=environment, check=True)
    cpu = children_cpu_s() - cpu
    with np.load(result) as found:
        seconds, energies = float(found["seconds"]), found["energies"]
    report(f"plain ASE loop, {threads} threads", len(energies), seconds, cpu)
    return seconds, energies


def pool_with(workers: int, structures: pd.DataFrame, folder: Path) -> tuple[float, np.ndarray]:
    """Seconds and energies (eV, in the order of ``structures``) through the label store."""
    store = folder / f"store of {workers} and {len(structures)}"
    started, cpu = time.perf_counter(), children_cpu_s()
    label_structures(
        structures, LEVEL, store, None, workers=workers, run=Run(), job="label_throughput"
    )
    seconds = time.perf_counter() - started
    report(f"label_structures, {workers} workers", len(structures), seconds, children_cpu_s() - cpu)
    rows = read_labels(store, level_id(LEVEL)).set_index("structure_id")
    return seconds, rows.loc[structures["structure_id"], "energy_ev"].to_numpy(float)


def children_cpu_s() -> float:
    """CPU time of this process's ended children: what other work on the machine changes least."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(what: str, n: int, seconds: float, cpu_s: float) -> None:
    """One line of rates."""
    print(
        f"{what}: {n / seconds:.1f} labels/s ({seconds:.1f} s, {1000 * cpu_s / n:.1f} CPU-ms each)"
    )


def main() -> None:
    """Print the rates and, last, the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--molecules", type=int, default=60)
    parser.add_argument("--geometries", type=int, default=15)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--all-threads", action="store_true")
    parser.add_argument("--loop", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        structures, result = arguments.loop
        seconds, energies = plain_loop(tables.read_table(structures, "structures"))
        np.savez(result, seconds=seconds, energies=energies)
        return
    structures = quinones(arguments.molecules, arguments.geometries)
    compare(structures, arguments.workers, {1, arguments.workers if arguments.all_threads else 1})


def compare(structures: pd.DataFrame, workers: int, loop_threads: set[int]) -> None:
    """Time both on ``structures`` and print."""
    n = len(structures)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables.write_table(structures, "structures", folder / "structures.parquet")
        loops = {t: loop_with(t, folder / "structures.parquet") for t in sorted(loop_threads)}
        single, _ = pool_with(1, structures.iloc[: n // 3], folder)
        seconds, energies = pool_with(workers, structures, folder)
    overhead = single / (n // 3) - loops[1][0] / n
    print(f"one worker, its start included: {1000 * overhead:+.1f} ms a label against the loop")
    difference = np.abs(energies - loops[1][1]).max()
    print(f"largest difference of an energy: {difference:.1e} eV")
    if difference > 1e-4:  # ASE converts units by CODATA 2014, we by 2018: 8e-9 of the energy
        sys.exit("the pool's energies are not the loop's")
    ours, peer = n / seconds, n / min(loop_s for loop_s, _ in loops.values())
    print(
        f"claim: labels/s, GFN2-xTB, {n} geometries of quinones, {workers} cores"
        f" | ours: {ours:.1f} (pool of {workers} workers, store and start included)"
        f" | peer: {peer:.1f} (plain ASE loop, tblite.ase) | ratio: {ours / peer:.2f}"
    )


if __name__ == "__main__":
    main()
