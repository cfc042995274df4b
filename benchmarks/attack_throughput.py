"""Attack throughput: all starts and members together against one structure and member at a time.

The same work on both sides: committees of five PaiNN (64 features, 3 interactions, 20 radial
functions, 5 Å), quickly trained on GFN1-xTB, with the same weights; 64 starts at the committee's
minimum of ammonia, anthraquinone (molecules) and silica ABW (periodic), the same nudges, objective,
optimiser rule, bounds, precision and threads; 100 steps.

The peer is what the paper's code (learningmatter-mit/Atomistic-Adversarial-Attacks) does, written
anew: a loop over starts, in it a loop over members, SchNetPack's own PaiNN and Atomwise modules as
they come, ASE's neighbour list rebuilt every second step, torch's double backward. It is run on few
starts; its time a start and step is what is compared, and that both climb to the same place.

    python benchmarks/attack_throughput.py [threads]

``MOLSIEVE_DATA`` is the folder of the reference data, for the cell of ABW. The last line is
``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ase.io
import numpy as np
import torch
from ase.build import molecule
from ase.neighborlist import neighbor_list
from rdkit import Chem
from rdkit.Chem import AllChem
from tblite.ase import TBLite
from torch import Tensor

from molsieve.geometries.attack import attack_batch
from molsieve.geometries.climb import first_nudge
from molsieve.geometry_settings import Attack
from molsieve.potential import schnetpack_import
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch, GraphSet
from molsieve.potential.model import Architecture, EnergyModel, energies_and_forces
from molsieve.relax import relax_batch
from molsieve.units import BOLTZMANN_EV_PER_K

blocks = schnetpack_import.blocks
properties = blocks.properties
DATA = Path(os.environ.get("MOLSIEVE_DATA", Path(__file__).parents[2] / "shared" / "data"))
MEMBERS, STARTS, PEER_STARTS, CUTOFF = 5, 64, 2, 5.0
SAME_STEPS = 5
"""So far both ways agree to single precision; steps of constant length across a steep valley then
make rounding grow (silica: 1e-6 Å after 1 step, 5e-5 after 8, 1e-2 after 20)."""
ARCHITECTURE = Architecture(64, 3, 20, CUTOFF, False)
FRAMES, TRAINING_STEPS = 16, 120
SETTINGS = Attack(
    steps=100,
    temperature_k=5000.0,
    step_size_angstrom=0.01,
    max_displacement_angstrom=0.3,
    max_strain=0.0,
)


def systems() -> dict[str, ase.Atoms]:
    """Ammonia, anthraquinone and silica ABW, near their minima."""
    quinone = Chem.AddHs(Chem.MolFromSmiles("O=C1c2ccccc2C(=O)c2ccccc21"))
    AllChem.EmbedMolecule(quinone, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(quinone)
    symbols = [atom.GetSymbol() for atom in quinone.GetAtoms()]
    return {
        "ammonia": molecule("NH3"),
        "anthraquinone": ase.Atoms(symbols, quinone.GetConformer().GetPositions()),
        "silica ABW": ase.io.read(DATA / "iza_cif" / "ABW.cif"),
    }


def trained_committee(atoms: ase.Atoms) -> Committee:
    """Members that know this structure a little, each its own way."""
    frames = [atoms.copy() for _ in range(FRAMES)]
    energies, forces = [], []
    for seed, frame in enumerate(frames):
        frame.rattle(0.02 + 0.06 * seed / FRAMES, seed=seed)
        frame.calc = TBLite(method="GFN1-xTB", verbosity=0)
        energies.append(frame.get_potential_energy())
        forces.append(frame.get_forces())
    mean = np.mean(energies) / len(atoms)
    batch = AtomsBatch.from_atoms(frames)
    labels = torch.tensor(energies), torch.tensor(np.concatenate(forces))
    data = GraphSet(batch, CUTOFF, *labels)
    models = [_trained(data, float(mean), seed) for seed in range(MEMBERS)]
    told = {
        "level_id": "gfn1",
        "architecture": ARCHITECTURE.as_dict(),
        "elements": sorted(set(atoms.numbers.tolist())),
        "charges_and_multiplicities": [[0, 1]],
    }
    return Committee(models, [told] * MEMBERS)


def _trained(data: GraphSet, baseline_ev: float, seed: int) -> EnergyModel:
    torch.manual_seed(seed)
    model = EnergyModel(ARCHITECTURE)
    model.baseline_ev[:] = baseline_ev
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    order = np.random.default_rng(seed)
    for _ in range(TRAINING_STEPS):
        graph = data.batch(torch.from_numpy(order.choice(FRAMES, 4)))
        found, forces = energies_and_forces(model, graph, create_graph=True)
        error = (forces - graph.forces_ev_per_angstrom).square().mean()
        error = error + 0.01 * (found - graph.energy_ev).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    return model.eval()


@dataclass
class Peer:
    """One structure and one member at a time."""

    networks: list[torch.nn.Module]
    scales: list[tuple[float, float]]

    @classmethod
    def of(cls, committee: Committee) -> Peer:
        """SchNetPack's own modules with the committee's weights."""
        networks = []
        for model in committee.models:
            painn = blocks.PaiNN(
                n_atom_basis=ARCHITECTURE.features,
                n_interactions=ARCHITECTURE.interactions,
                radial_basis=blocks.nn.GaussianRBF(ARCHITECTURE.radial_functions, CUTOFF),
                cutoff_fn=blocks.nn.CosineCutoff(CUTOFF),
            )
            painn.load_state_dict(model.representation.state_dict())
            head = blocks.Atomwise(n_in=ARCHITECTURE.features, output_key="energy")
            head.load_state_dict(model.head.state_dict())
            networks.append(torch.nn.Sequential(painn, head))
        scales = [(float(m.scale_ev), float(m.baseline_ev[1])) for m in committee.models]
        return cls(networks, scales)

    def objective(self, atoms: ase.Atoms, place: Tensor, edges: tuple, e_min: float) -> Tensor:
        """L of one structure; ``place`` (n, 3) float64 requires a gradient."""
        i, j, shift = edges
        energies, forces = [], []
        for network, (scale, baseline) in zip(self.networks, self.scales, strict=True):
            inputs = {
                properties.Z: torch.from_numpy(atoms.numbers),
                properties.Rij: (place[j] - place[i] + shift).float(),
                properties.idx_i: i,
                properties.idx_j: j,
                properties.idx_m: torch.zeros(len(atoms), dtype=torch.long),
                properties.n_atoms: torch.tensor([len(atoms)]),
            }
            energy = scale * network(inputs)["energy"].double().sum() + baseline * len(atoms)
            (gradient,) = torch.autograd.grad(energy, place, create_graph=True)
            energies.append(energy)
            forces.append(-gradient)
        variance = torch.stack(forces).var(0).mean()
        kt = BOLTZMANN_EV_PER_K * SETTINGS.temperature_k
        return torch.log(variance) - (torch.stack(energies).mean() - e_min) / kt

    def climb(
        self, atoms: ase.Atoms, shift: Tensor, e_min: float, steps: int
    ) -> tuple[float, Tensor]:
        """The largest L on the way of one start, and where it is (n, 3)."""
        home = torch.from_numpy(atoms.positions)
        mean = square = 0.0
        best, best_place, edges = -np.inf, home, None
        shift = _shortened(shift)
        for step in range(steps + 1):
            place = (home + shift).requires_grad_(True)
            if step % 2 == 0:
                edges = _ase_edges(atoms, place)
            objective = self.objective(atoms, place, edges, e_min)
            if objective.item() > best:
                best, best_place = objective.item(), place.detach()
            (slope,) = torch.autograd.grad(objective, place)
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope.square().sum(1, keepdim=True)
            up = mean / (1 - 0.9 ** (step + 1))
            size = (square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-12
            rate = SETTINGS.step_size_angstrom * min(1.0, 2 * (1 - step / steps))
            shift = _shortened(shift + rate * up / size)
        return best, best_place


def _shortened(shift: Tensor) -> Tensor:
    longest = SETTINGS.max_displacement_angstrom
    return shift * (longest / shift.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)


def _ase_edges(atoms: ase.Atoms, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    moved = atoms.copy()
    moved.positions = place.detach().numpy()
    i, j, images = neighbor_list("ijS", moved, CUTOFF)
    return torch.from_numpy(i), torch.from_numpy(j), torch.from_numpy(images @ moved.cell.array)


def compare(name: str, atoms: ase.Atoms) -> dict[str, float]:
    """Milliseconds a start and step of both, and whether they climb to the same place."""
    committee = trained_committee(atoms)
    relaxed = relax_batch(committee, AtomsBatch.from_atoms([atoms]), 0.05, 100)
    atoms.positions = relaxed.positions.numpy()
    e_min = relaxed.energies.mean(0)
    batch = AtomsBatch.from_atoms([atoms] * STARTS)
    nudge = first_nudge(batch, SETTINGS.step_size_angstrom, 0.0, 1).shift.view(STARTS, -1, 3)
    peer = Peer.of(committee)
    gap, apart = _apart(committee, peer, atoms, nudge[0], e_min)
    started, cpu = time.perf_counter(), time.process_time()
    ours = attack_batch(committee, batch, e_min.expand(STARTS), SETTINGS, 1)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    started, peer_cpu = time.perf_counter(), time.process_time()
    theirs = [
        peer.climb(atoms, nudge[s], float(e_min[0]), SETTINGS.steps)[0] for s in range(PEER_STARTS)
    ]
    peer_seconds, peer_cpu = time.perf_counter() - started, time.process_time() - peer_cpu
    ours_ms = 1e3 * seconds / STARTS / SETTINGS.steps
    peer_ms = 1e3 * peer_seconds / PEER_STARTS / SETTINGS.steps
    tops = ", ".join(
        f"{float(ours.objective[s]):.3f} / {theirs[s]:.3f}" for s in range(PEER_STARTS)
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name} ({len(atoms)} atoms): ours {ours_ms:.3f} ms a start and step ({seconds:.1f} s), "
        f"peer {peer_ms:.1f} ms ({PEER_STARTS} starts, {peer_seconds:.1f} s): "
        f"{peer_ms / ours_ms:.1f}x\n"
        f"  processor time {1e3 * cpu / STARTS / SETTINGS.steps:.3f} and "
        f"{1e3 * peer_cpu / PEER_STARTS / SETTINGS.steps:.1f} ms\n"
        f"  accepted {int(ours.accepted.sum())} of {STARTS}; mean L {_mean(ours.objective_start)} "
        f"-> {_mean(ours.objective)}, {_mean(ours.energy_above_minimum)} eV above the minimum\n"
        f"  same place: after {SAME_STEPS} steps L differs by {gap:.0e}, atoms by {apart:.0e} Å; "
        f"L at the end, ours / peer: {tops}\n"
        f"  peak memory of the process so far {memory:.0f} MB",
        flush=True,
    )
    return {"ours_ms": ours_ms, "peer_ms": peer_ms, "ratio": peer_ms / ours_ms}


def _mean(values: Tensor) -> str:
    return f"{float(values.mean()):.2f}"


def _apart(
    committee: Committee, peer: Peer, atoms: ase.Atoms, nudge: Tensor, e_min: Tensor
) -> tuple[float, float]:
    """How much L and the furthest atom (Å) of one start differ after the same few steps."""
    settings = SETTINGS.model_copy(update={"steps": SAME_STEPS})
    ours = attack_batch(committee, AtomsBatch.from_atoms([atoms]), e_min, settings, 1)
    objective, place = peer.climb(atoms, nudge, float(e_min[0]), SAME_STEPS)
    gap, apart = abs(float(ours.objective[0]) - objective), (ours.positions - place).norm(dim=1)
    if gap > 0.01 or apart.max() > 0.005:
        print(f"  ours and the peer climb to different places: L {gap}, atoms {apart.max()} Å")
    return gap, float(apart.max())


def main() -> None:
    """Compare on every system; the last line is the claim."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    torch.set_num_threads(threads)
    found = {name: compare(name, atoms) for name, atoms in systems().items()}
    ours = ", ".join(f"{name} {f['ours_ms']:.2f} ms" for name, f in found.items())
    peer = ", ".join(f"{name} {f['peer_ms']:.1f} ms" for name, f in found.items())
    ratios = ", ".join(f"{f['ratio']:.1f}x" for f in found.values())
    print(
        f"claim: attack, {STARTS} starts x {SETTINGS.steps} steps x {MEMBERS} members, {threads} "
        f"thread(s): time of one start's step | ours: {ours} | peer: {peer} | ratio: {ratios}"
    )


if __name__ == "__main__":
    main()
