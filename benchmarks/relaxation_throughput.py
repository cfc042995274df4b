"""Relaxation throughput: 1,000 quinone species in batches against ASE's BFGS one by one.

Quinones of ``config/quickstart.yaml`` and anthraquinones, and their hydroquinones, as MMFF94 left
them. Two committees of 4 members, trained on GFN2-xTB labels of other quinones: the quickstart's
(PaiNN 32x2, 3.5 Å), which the claim is about, and the package's default (PaiNN 64x3, 5 Å). Both
sides relax the same committee's mean to 0.01 eV/Å with the same number of threads: ours with
``relax_batch``, the peer with ASE's BFGS (its defaults) and ``CommitteeCalculator``, on a seeded
random sample of the species, its time scaled to all of them. Committees are kept under
``benchmarks/results`` for the next run.

    python benchmarks/relaxation_throughput.py [species] [species of the peer's sample]

The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ase
import numpy as np
import pandas as pd
import torch
import yaml
from ase.optimize import BFGS

from molsieve import campaign, levels
from molsieve.chem import conformers, relaxation
from molsieve.chem.connectivity import bonds_of_geometry
from molsieve.chem.identities import structure_row
from molsieve.chem.molecules import parse_molecule
from molsieve.domains.flow_battery import config
from molsieve.domains.flow_battery.candidates import iterate_candidates
from molsieve.domains.flow_battery.structures import species_of
from molsieve.engines.tblite import TbliteEngine
from molsieve.potential import storage, training, training_data
from molsieve.potential.calculator import CommitteeCalculator
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.model import Architecture, energies_and_forces
from molsieve.relax import relax_batch

FMAX, MAX_STEPS, BATCH = 0.01, 300, 128
MEMBERS, TRAINED_COUPLES, COPIES, DISPLACEMENT = 4, 60, 3, 0.04
SAME_MEV = 5.0
TRAINING: dict = {"members": MEMBERS, "max_epochs": 60, "patience_epochs": 60, "batch_size": 8}
COMMITTEES = {
    "PaiNN 64x3, 5 Å": campaign.Potential(**TRAINING),
    "PaiNN 32x2, 3.5 Å": campaign.Potential(
        features=32, interactions=2, cutoff_angstrom=3.5, **TRAINING
    ),
}
ANTHRAQUINONE = {
    "name": "9,10-anthraquinone",
    "smiles": "O=C1c2c([*:1])cc([*:2])cc2C(=O)c2cc([*:3])ccc21",
}
FOLDER = Path(__file__).resolve().parent / "results" / "relaxation_committees"
QUICKSTART = Path(__file__).resolve().parents[1] / "config" / "quickstart.yaml"


def quinone_species(couples: int, skip: int = 0) -> list[ase.Atoms]:
    """MMFF94 geometries of ``couples`` quinones and their hydroquinones, in a seeded order."""
    section = yaml.safe_load(QUICKSTART.read_text())["candidates"]
    section["source"]["scaffolds"].append(ANTHRAQUINONE)
    section["filters"]["max_heavy_atoms"] = 24
    rows = iterate_candidates(config.Candidates.model_validate(section))
    accepted = sorted(row["identifier"] for row in rows if row["status"] == "accepted")
    order = np.random.default_rng(0).permutation(len(accepted))
    pairs = (species_of(accepted[i]) for i in order[skip:])
    return [
        conformers.embed_conformers(parse_molecule(row["identifier"]), 1, seed=1).atoms(0)
        for pair in itertools.islice(pairs, couples)
        for row in pair
    ]


def labelled(task: tuple[int, ase.Atoms]) -> list[tuple[dict, dict]]:
    """GFN2-xTB labels of a species: as given, at its minimum, and displaced copies of both."""
    number, given = task
    oracle = TbliteEngine(levels.TbliteLevel(engine="tblite"))
    try:
        minimum = relaxation.relax(given, 0.05, 100).atoms
    except relaxation.RelaxationError:
        return []
    rng = np.random.default_rng([7, number])
    found = []
    for copy in range(2 + COPIES):
        atoms = (given if copy % 2 else minimum).copy()
        if copy > 1:
            atoms.positions += rng.normal(0, DISPLACEMENT, atoms.positions.shape)
        row = structure_row(
            atoms, species_id=f"{number}", origin="displaced", geometry_protocol_id="benchmark"
        )
        result = oracle.compute(atoms)
        label = {
            "structure_id": row["structure_id"],
            "status": "ok",
            "energy_ev": result.energy_ev,
            "forces_ev_per_angstrom": result.forces_ev_per_angstrom.ravel(),
        }
        found.append((row, label))
    return found


def labels_for_training() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Datasets, structures and labels of quinones that the benchmark leaves out."""
    tasks = list(enumerate(quinone_species(TRAINED_COUPLES, skip=-TRAINED_COUPLES)))
    pairs = [pair for task in tasks for pair in labelled(task)]
    structures = pd.DataFrame([row for row, _ in pairs])
    labels = pd.DataFrame([label for _, label in pairs])
    dataset = structures[["structure_id", "species_id"]].rename(columns={"species_id": "group"})
    return dataset, structures, labels


def committee_of(settings: campaign.Potential, folder: Path, tables: Callable) -> Committee:
    """The committee kept in ``folder``, trained first if there is none."""
    members = [folder / f"member_{m}" for m in range(MEMBERS)]
    if not all((member / "model.json").exists() for member in members):
        dataset, structures, labels = tables()
        held = dataset["group"].astype(int) % 10 == 0
        parts = [
            training_data.TrainingData.from_tables(
                part, structures, labels, settings.cutoff_angstrom, "cpu"
            )
            for part in (dataset[~held], dataset[held])
        ]
        for number, member in enumerate(members):
            member.mkdir(parents=True, exist_ok=True)
            train(settings, parts, number, member)
    return Committee.load(members)


def train(settings: campaign.Potential, parts: list, member: int, folder: Path) -> None:
    """One member; says how good it became."""
    started, graphs = time.perf_counter(), parts[0].graphs
    model = training.initial_model(graphs, {}, settings, 0, member, "cpu", None)
    training.TrainingRun(model, *parts, settings, 0, member, folder).fit()
    elements, architecture = sorted(set(graphs.data.numbers.tolist())), Architecture.of(settings)
    description = storage.describe(architecture, elements, [[0, 1]], "gfn2", 0, member, model)
    storage.save_member(model, description, folder)
    held = parts[1].graphs.batch(torch.arange(len(parts[1].graphs)))
    _, forces = energies_and_forces(model, held, create_graph=False)
    assert held.forces_ev_per_angstrom is not None
    error = float((forces - held.forces_ev_per_angstrom).square().mean().sqrt())
    print(
        f"member {member}: {len(graphs)} labels, {time.perf_counter() - started:.0f} s, force RMSE "
        f"on other species {error:.3f} eV/Å",
        flush=True,
    )


def ours(committee: Committee, species: list[ase.Atoms]) -> tuple[float, np.ndarray, list, float]:
    """Seconds, mean energies (S,) at the minima, the minima, share converged."""
    started = time.perf_counter()
    batch = AtomsBatch.from_atoms(species)
    result = relax_batch(committee, batch, FMAX, MAX_STEPS, at_once=BATCH)
    seconds = time.perf_counter() - started
    converged, steps = float(result.converged.double().mean()), result.steps.double()
    print(
        f"ours: {seconds:.1f} s, {100 * converged:.1f} % converged, steps mean {steps.mean():.1f}, "
        f"largest {steps.max():.0f}; {1e3 * seconds / float(steps.sum() + len(species)):.2f} ms a "
        "structure and call",
        flush=True,
    )
    owner = batch.structure.numpy()
    minima = [result.positions.numpy()[owner == s] for s in range(len(species))]
    return seconds, result.energies.mean(0).numpy(), minima, converged


def peer(committee: Committee, species: list[ase.Atoms]) -> tuple[float, np.ndarray, list, float]:
    """As :func:`ours`, by ASE's BFGS one by one."""
    calculator = CommitteeCalculator(committee)
    energies, minima, converged, steps = [], [], [], []
    started = time.perf_counter()
    for given in species:
        atoms = given.copy()
        atoms.calc = calculator
        optimiser = BFGS(atoms, logfile=None)
        converged.append(optimiser.run(fmax=FMAX, steps=MAX_STEPS))
        energies.append(atoms.get_potential_energy())
        minima.append(atoms.positions)
        steps.append(optimiser.nsteps)
    seconds = time.perf_counter() - started
    print(
        f"ASE's BFGS: {seconds:.1f} s for {len(species)} species, {100 * np.mean(converged):.1f} % "
        f"converged, steps mean {np.mean(steps):.1f}, largest {max(steps)}; "
        f"{1e3 * seconds / (sum(steps) + len(species)):.2f} ms a call",
        flush=True,
    )
    return seconds, np.array(energies), minima, float(np.mean(converged))


def compare(sample: list[ase.Atoms], energies: tuple, minima: tuple) -> str:
    """How the two sides' minima of the same species agree."""
    difference = 1e3 * (energies[0] - energies[1])
    same = np.abs(difference) <= SAME_MEV
    kept = [100 * np.mean([_kept(*pair) for pair in zip(sample, m, strict=True)]) for m in minima]
    return (
        f"same energy within {SAME_MEV} meV: {100 * same.mean():.0f} % of the sample (of these, "
        f"largest difference {np.abs(difference[same]).max(initial=0):.2f} meV); elsewhere another "
        f"minimum, ours lower in {(difference[~same] < 0).sum()} of {(~same).sum()}; "
        f"bonds as given: ours {kept[0]:.0f} %, ASE's {kept[1]:.0f} %"
    )


def _kept(given: ase.Atoms, positions: np.ndarray) -> bool:
    bonds = bonds_of_geometry(given.numbers, given.positions)
    return bonds_of_geometry(given.numbers, positions) == bonds


def contest(name: str, committee: Committee, given: list[ase.Atoms], sampled: int) -> dict:
    """Both sides on one committee."""
    chosen = np.sort(np.random.default_rng(1).permutation(len(given))[:sampled])
    sample = [given[i] for i in chosen]
    print(f"-- {MEMBERS} members {name}", flush=True)
    committee(AtomsBatch.from_atoms(sample[:2]))  # what is compiled or loaded once is not timed
    peer_s, peer_energies, peer_minima, peer_share = peer(committee, sample)
    our_s, energies, minima, our_share = ours(committee, given)
    ours_there = [minima[i] for i in chosen]
    print(compare(sample, (energies[chosen], peer_energies), (ours_there, peer_minima)))
    scaled = peer_s * len(given) / len(sample)
    print(f"{name}: ours {our_s:.1f} s, ASE {scaled:.0f} s, ratio {scaled / our_s:.1f}", flush=True)
    return {"ours": our_s, "peer": scaled, "our_share": our_share, "peer_share": peer_share}


def main(species: int = 1000, sampled: int = 60) -> int:
    """Print what both sides did and the claim."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    tables = functools.cache(labels_for_training)
    committees = {
        name: committee_of(settings, FOLDER / name.split(",")[0].replace(" ", "_"), tables)
        for name, settings in COMMITTEES.items()
    }
    given = quinone_species(species // 2)
    print(
        f"{len(given)} species of {min(map(len, given))} to {max(map(len, given))} atoms, to "
        f"{FMAX} eV/Å, {torch.get_num_threads()} thread(s)"
    )
    for name, committee in committees.items():
        found = contest(name, committee, given, sampled)
    print(
        f"claim: relaxation of {len(given)} quinone species to {FMAX} eV/Å, the same committee of "
        f"{MEMBERS} {name}, {torch.get_num_threads()} thread(s) | ours: {found['ours']:.1f} s, "
        f"{100 * found['our_share']:.1f} % converged | peer: ASE BFGS one by one "
        f"{found['peer']:.0f} s (scaled from {sampled} random species), "
        f"{100 * found['peer_share']:.1f} % converged | ratio: {found['peer'] / found['ours']:.1f}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:3])))
