"""Framework energies above alpha-quartz beside measured enthalpies: GFN1-xTB and a committee of it.

A committee is taught GFN1-xTB silica (energies, forces, stresses of small frameworks and quartz,
none with a measured enthalpy): first distorted copies, then the minima that it finds itself. It
relaxes all frameworks with a measured enthalpy, positions and cells, in batches, and quartz.
GFN1-xTB itself is asked at the given geometry (the relaxed CIFs of ``iza_cif``, quartz as
measured) and at the committee's minima, Γ point, cells at least 7.5 Å wide, where a cell has no
more atoms than ``--largest``: smallest first, the others are named as left out.

The Γ point's error was measured once: quartz 8.5 Å wide against 10.8 Å 1.2, sodalite 8.9 Å against
12.6 Å 2.0 kJ/mol per SiO2.

Energies are per SiO2, relative to quartz at the same level and in the same kind of geometry; no
vibrations (their share in these enthalpies is below 1 kJ/mol). Peer: framework density, a straight
line fitted with the framework itself left out. Since quartz as zero hides or shows an offset, an
error is also given after a straight line, fitted likewise (as Zwijnenburg, Corà, Bell, J. Phys.
Chem. B 111, 6156 (2007) advise for all calculated silica enthalpies). Intervals: bootstrap over
frameworks.

With ``--dft 48`` a control: PBE-D3(BJ) by CP2K at the given geometry of cells of at most so many
atoms (and of quartz), on the same cells; off by default, it takes many minutes a framework.

    python benchmarks/framework_energies.py [--largest 150] [--rounds 2] [--epochs 80] [--dft 0]

Labels, committees and the table are kept under benchmarks/results/framework_energies: a run that is
stopped goes on. The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
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
import torch
from zeolite import frameworks as known
from zeolite.agreement import Agreement, judged, leave_one_out
from zeolite.label_cache import LabelCache, named
from zeolite.silica_committee import distorted, taught

from molsieve import campaign
from molsieve.cell_relaxation import CellRelaxation, relax_with_cells
from molsieve.levels import Cp2kLevel, TbliteLevel
from molsieve.potential.committee import Committee
from molsieve.units import EV_PER_KJ_PER_MOL

FOLDER = Path(__file__).resolve().parent / "results" / "framework_energies"
MIN_WIDTH, COPIES = 7.5, 5
FMAX, MAX_STRESS, MAX_STEPS = 0.02, 5e-4, 1500
MEMBERS, SWELLING = 4, 1.02


def settings(epochs: int) -> campaign.Potential:
    """Energies count more than in a campaign's default: differences of a few meV an atom decide."""
    return campaign.Potential(
        members=MEMBERS,
        features=32,
        interactions=2,
        cutoff_angstrom=5.0,
        batch_size=8,
        max_epochs=epochs,
        patience_epochs=epochs,
        energy_weight=5.0,
        bootstrap=False,
    )


def wide(code: str) -> ase.Atoms:
    """A framework's cell for the Γ point, as given."""
    return known.widened(known.framework(code), MIN_WIDTH)


def swollen(code: str) -> ase.Atoms:
    """The same, a little wider: nearer to GFN1-xTB's minimum, which saves steps."""
    atoms = wide(code)
    atoms.set_cell(SWELLING * atoms.cell.array, scale_atoms=True)
    return atoms


def first_labels(cache: LabelCache, codes: list[str]) -> list[tuple[dict, dict]]:
    """Distorted copies of small frameworks."""
    pairs = []
    for copy in range(COPIES):
        for code in codes:
            rng = np.random.default_rng([3, copy, *code.encode()])
            pairs.append(cache.label(distorted(wide(code), rng), code))
    return pairs


def relaxed(committee: Committee, codes: list[str]) -> CellRelaxation:
    """All of them with their cells; says what it took."""
    started = time.perf_counter()
    found = relax_with_cells(
        committee, [swollen(code) for code in codes], FMAX, MAX_STRESS, MAX_STEPS
    )
    print(
        f"relaxed {len(codes)} crystals of {min(map(len, found.atoms))} to "
        f"{max(map(len, found.atoms))} atoms with their cells in "
        f"{time.perf_counter() - started:.0f} s, {found.converged.sum()} converged, "
        f"largest force {found.forces_max.max():.3f} eV/Å, "
        f"largest stress {found.stress_max.max():.5f} eV/Å³",
        flush=True,
    )
    return found


def above_quartz(energies_ev: dict[str, np.ndarray | float], atoms: dict[str, ase.Atoms]) -> dict:
    """Energies per SiO2 relative to quartz, kJ/mol, of those there are."""
    each = {c: np.asarray(e) / known.formula_units(atoms[c]) for c, e in energies_ev.items()}
    return {c: (e - each["quartz"]) / EV_PER_KJ_PER_MOL for c, e in each.items() if c != "quartz"}


def of_level(cache: LabelCache, atoms: dict[str, ase.Atoms], largest: int, origin: str) -> dict:
    """The level's energies above quartz, smallest cells first, of those that are not too large."""
    energies, structures = {}, {}
    for code in sorted(atoms, key=lambda c: len(atoms[c])):
        if len(atoms[code]) <= largest:
            _, label = cache.label(atoms[code], code, origin)
            if label["status"] == "ok":
                energies[code], structures[code] = label["energy_ev"], atoms[code]
            print(f"{code} {origin}: {len(atoms[code])} atoms, {label['wall_s']:.0f} s", flush=True)
    return above_quartz(energies, structures)


def dft(given: dict[str, ase.Atoms], largest: int) -> dict:
    """PBE-D3(BJ) above quartz of the small ones."""
    cache = LabelCache(Cp2kLevel(engine="cp2k"), FOLDER / "labels_dft.jsonl")
    small = {c: a for c, a in given.items() if c == "quartz" or len(a) <= largest}
    return of_level(cache, small, max(map(len, small.values())), "built")


def show(columns: dict[str, dict[str, float]], spread: dict[str, float], densities: dict) -> None:
    """A table, a row a framework, kJ/mol per SiO2."""
    print("\nframework  density  measured      " + "  ".join(f"{n:>26}" for n in columns))
    for code, measured in known.MEASURED.items():
        values = [
            f"{column[code]:>26.1f}" if code in column else f"{'-':>26}"
            for column in columns.values()
        ]
        told = f"{measured.enthalpy:5.1f} ± {measured.uncertainty:3.1f}"
        mark = "" if known.counted(code) else " (from memory: not counted)"
        print(
            f"{code:9} {densities[code]:8.2f}  {told:12}  {'  '.join(values)}"
            f"   committee's spread {spread[code]:.1f}{mark}"
        )


def measured_of(codes: list[str]) -> np.ndarray:
    """Enthalpies, kJ/mol."""
    return np.array([known.MEASURED[code].enthalpy for code in codes])


def agreements(columns: dict[str, dict[str, float]]) -> dict[str, Agreement]:
    """Of each column with what was measured."""
    found = {}
    for name, column in columns.items():
        codes = [code for code in known.MEASURED if code in column and known.counted(code)]
        if len(codes) >= 4:
            values = np.array([column[code] for code in codes])
            found[name] = judged(values, measured_of(codes))
            print(f"{name} ({len(codes)} frameworks): {found[name].text()}", flush=True)
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--largest", type=int, default=150, help="atoms of a GFN1-xTB cell")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--dft", type=int, default=0, help="atoms of a CP2K cell; 0: none")
    return parser.parse_args()


def final_committee(cache: LabelCache, rounds: int, epochs: int) -> Committee:
    """Taught in rounds, each with the minima of the last."""
    codes = list(known.LEARNED)
    pairs = first_labels(cache, codes)
    previous, committee = None, None
    for number in range(rounds):
        if committee is not None:
            minima = zip(codes, relaxed(committee, codes).atoms, strict=True)
            pairs += [cache.label(atoms, code, "relaxed") for code, atoms in minima]
        folder = FOLDER / f"round_{number}_{epochs}_{named(pairs)}"
        committee = taught(pairs, settings(epochs), folder, previous)
        previous = folder
    assert committee is not None
    return committee


def main() -> int:
    """Teach, relax, label, compare."""
    asked = parsed()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if not (known.DATA / "iza_cif").is_dir():
        print(f"skipped: no {known.DATA / 'iza_cif'}; MOLSIEVE_DATA names the data's folder")
        return 0
    cache = LabelCache(TbliteLevel(engine="tblite", method="GFN1-xTB"), FOLDER / "labels.jsonl")
    committee = final_committee(cache, asked.rounds, asked.epochs)
    codes = ["quartz", *known.MEASURED]
    found = relaxed(committee, codes)
    given = {code: wide(code) for code in codes}
    minima = dict(zip(codes, found.atoms, strict=True))
    members = above_quartz(dict(zip(codes, found.energies_ev.T, strict=True)), minima)
    densities = {code: known.density(atoms) for code, atoms in given.items()}
    columns = {
        "committee, relaxed": {code: float(e.mean()) for code, e in members.items()},
        "GFN1-xTB, as given": of_level(cache, given, asked.largest, "built"),
        "GFN1-xTB, relaxed": of_level(cache, minima, asked.largest, "relaxed"),
    }
    if asked.dft:
        columns["PBE-D3, as given"] = dft(given, asked.dft)
    spread = {code: float(e.std(ddof=1)) for code, e in members.items()}
    left = [code for code in known.MEASURED if code not in columns["GFN1-xTB, relaxed"]]
    show(columns, spread, densities)
    if left:
        print(f"no GFN1-xTB label (more than {asked.largest} atoms): {', '.join(left)}")
    print(swelling(given, minima, codes))
    print(committee_error(columns))
    found_agreement = agreements(columns)
    counted = [code for code in known.MEASURED if known.counted(code)]
    print(f"density, all {len(counted)}: {of_density(counted, densities).text()}")
    (FOLDER / "table.json").write_text(
        json.dumps({"columns": columns, "spread": spread, "densities": densities}, indent=1)
    )
    level = "GFN1-xTB, relaxed"
    asked_of = [code for code in counted if code in columns[level]]
    peer = of_density(asked_of, densities)
    print(claim(found_agreement[level], found_agreement["committee, relaxed"], peer, len(asked_of)))
    return 0


def of_density(codes: list[str], densities: dict[str, float]) -> Agreement:
    """Of a straight line in density, each framework left out in turn."""
    enthalpies = measured_of(codes)
    return judged(leave_one_out(np.array([densities[c] for c in codes]), enthalpies), enthalpies)


def swelling(given: dict, minima: dict, codes: list[str]) -> str:
    """How much wider the level's silica is."""
    ratio = [(minima[c].get_volume() / given[c].get_volume()) ** (1 / 3) for c in codes]
    return (
        f"lengths of relaxed cells over the given ones: quartz {ratio[0]:.3f}, frameworks "
        f"{min(ratio[1:]):.3f} to {max(ratio[1:]):.3f}"
    )


def committee_error(columns: dict[str, dict[str, float]]) -> str:
    """The committee against its level at its own minima of frameworks it never saw."""
    ours, level = columns["committee, relaxed"], columns["GFN1-xTB, relaxed"]
    error = np.array([ours[code] - level[code] for code in level])
    return (
        f"committee against GFN1-xTB at the committee's minima, {len(error)} frameworks not in its "
        f"training: mean signed error {error.mean():.1f} (of quartz, the zero), standard "
        f"deviation about it {error.std(ddof=1):.1f}, largest {np.abs(error).max():.1f} kJ/mol per "
        f"SiO2 ({list(level)[int(np.abs(error).argmax())]})"
    )


def claim(level: Agreement, committee: Agreement, peer: Agreement, count: int) -> str:
    """The last line, of the level itself: what the committee adds to its level is error."""
    ratio = peer.absolute_error / level.rescaled_error  # the peer is such a line already
    return (
        f"claim: framework energies above quartz against measured enthalpies, {count} silica "
        f"frameworks labelled by GFN1-xTB at the minima of its committee | ours: {level.short()} "
        f"(committee, all frameworks: {committee.short()}) | peer: density trend "
        f"Spearman {peer.spearman:.2f} [{peer.interval[0]:.2f}, {peer.interval[1]:.2f}], "
        f"mean absolute error {peer.absolute_error:.2f} kJ/mol | ratio: {ratio:.2f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
