"""Docking throughput: batches on grids and trees against one pose at a time.

Two measurements on silica CHA (typed-in cell, 108 atoms):

1. The same placements on both sides (guest N,N,N-trimethyladamantylammonium, 40 atoms; the same
   centres, rotations and scaled radii): which of them clash with the framework? Ours judges them in
   one batch on periodic KD trees. The peer takes them one at a time, as a script does that anyone
   would write: ``ase.Atoms``, rotated and moved, joined to the framework, ASE's neighbour list,
   distances against scaled radii. Both must give the same verdicts.
2. 10,000 poses from nothing: docking with symmetry, settling, clash and image refusal, exact
   scores, duplicates removed, seven guests of the OSDA kind; time and peak memory.

    python benchmarks/docking_throughput.py [threads]

One thread unless said. The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import os
import resource
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from concurrent.futures import ProcessPoolExecutor

import ase
import numpy as np
from ase.neighborlist import neighbor_list

from molsieve.crystals.known import known_framework
from molsieve.docking.guests import Guest, make_guest
from molsieve.docking.hosts import Host
from molsieve.docking.poses import DockingSettings, dock_in_host
from molsieve.docking.settling import Placements, trial_placements
from molsieve.docking.sites import pore_sites
from molsieve.docking.van_der_waals import radius_angstrom

PLACEMENTS, PEER_PLACEMENTS, SCALE = 20_000, 400, 0.7
TMADA = "C[N+](C)(C)C12CC3CC(CC(C3)C1)C2"
GUESTS = (
    "C[N+](C)(C)C",
    "CCN(CC)CC",
    "C1CCNCC1",
    "CC(C)NC(C)C",
    "C1CN2CCN1CC2",
    "NCCCCN",
    "CCC[N+](C)(C)C",
)
SETTINGS = DockingSettings(trials=8000, most_poses=1429, rmsd_tolerance_angstrom=0.3)


def peer_verdicts(frame: ase.Atoms, guest: Guest, placements: Placements) -> np.ndarray:
    """Whether each placement clashes, one at a time."""
    return np.array(
        [
            peer_clash(frame, guest.conformers[c], rotation, centre)
            for c, rotation, centre in zip(
                placements.conformers, placements.rotations, placements.centres, strict=True
            )
        ]
    )


def peer_clash(
    frame: ase.Atoms, molecule: ase.Atoms, rotation: np.ndarray, centre: np.ndarray
) -> bool:
    """Whether one placement clashes."""
    placed = molecule.copy()
    placed.positions = molecule.positions @ rotation.T + centre
    together = frame + placed
    radii = {z: SCALE * radius_angstrom(z) for z in set(together.numbers.tolist())}
    cutoffs = {(a, b): radii[a] + radii[b] for a in radii for b in radii}
    i, j = neighbor_list("ij", together, cutoffs)
    return bool(np.any((i >= len(frame)) & (j < len(frame))))


def same_work(host: Host) -> tuple[float, float]:
    """Placements a minute of CPU time, ours and the peer's."""
    guest = make_guest(TMADA, conformers=1)
    sites, _, spacing = pore_sites(host, host.site_symmetry((1, 1, 1)), 150)
    trials = trial_placements(guest, sites, spacing, PLACEMENTS, np.random.default_rng(0))
    start = time.process_time()
    ours = host.near.margins_angstrom(guest.numbers, trials.positions(guest), SCALE) < 0
    our_rate = 60 * len(ours) / (time.process_time() - start)
    few = np.linspace(0, len(ours) - 1, PEER_PLACEMENTS).astype(int)
    start = time.process_time()
    theirs = peer_verdicts(host.atoms, guest, trials.take(few))
    peer_rate = 60 * len(few) / (time.process_time() - start)
    print(f"ours {our_rate:12,.0f} placements a minute, {np.mean(~ours):.2%} without a clash")
    print(f"peer {peer_rate:12,.0f} placements a minute")
    print(f"verdicts that differ: {np.count_nonzero(ours[few] != theirs)} of {len(few)}")
    if np.any(ours[few] != theirs):
        raise SystemExit("the two sides do not agree on what clashes")
    return our_rate, peer_rate


def dock_one(smiles: str) -> tuple[str, int, float, float]:
    """(guest, distinct poses, CPU seconds, best score in eV) of one guest in CHA."""
    start = time.process_time()
    host = Host(known_framework("CHA").atoms)
    poses = dock_in_host(host, "CHA", make_guest(smiles), settings=SETTINGS).poses.get(1, [])
    best = poses[0].info["score_ev"] if poses else float("nan")
    return smiles, len(poses), time.process_time() - start, best


def ten_thousand(threads: int) -> tuple[int, float, float]:
    """(poses, wall seconds, CPU seconds) of docking all guests, grids and conformers included."""
    start = time.perf_counter()
    with ProcessPoolExecutor(threads) as pool:
        results = list(pool.map(dock_one, GUESTS))
    spent = time.perf_counter() - start
    for smiles, count, seconds, best in results:
        print(f"{smiles:24} {count:5d} distinct poses in {seconds:6.1f} s CPU, best {best:6.2f} eV")
    used = sum(seconds for _, _, seconds, _ in results)
    return sum(count for _, count, _, _ in results), spent, used


def main() -> None:
    """Measure both and print the claim."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    our_rate, peer_rate = same_work(Host(known_framework("CHA").atoms))
    poses, spent, used = ten_thousand(threads)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    minute = 60 * poses / spent
    print(f"{poses} distinct settled poses in {spent:.1f} s on {threads} process(es): ", end="")
    print(f"{minute:,.0f} a minute; 10,000 in {600_000 / minute:.0f} s; {memory:.0f} MB a process;")
    print(f"{60 * poses / used:,.0f} a minute of CPU time (other work on the machine left out)")
    print(
        "claim: docking judges placements faster than one at a time | ours:"
        f" {our_rate:,.0f} placements a CPU minute; {60 * poses / used:,.0f} distinct settled"
        f" poses a CPU minute ({minute:,.0f} a minute on {threads} processes), 10,000 in"
        f" {600_000 / minute:.0f} s and {memory:.0f} MB | peer:"
        f" {peer_rate:,.0f} placements a minute (ASE, one at a time) | ratio:"
        f" {our_rate / peer_rate:.0f}"
    )


if __name__ == "__main__":
    main()
