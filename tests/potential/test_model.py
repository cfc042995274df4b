import ase.build
import numpy as np
import pytest
import torch

from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.model import (
    Architecture,
    EnergyModel,
    PaiNN,
    energies_and_forces,
    schnetpack_inputs,
    torch_device,
)
from molsieve.potential.schnetpack_import import blocks
from molsieve.section import CampaignError


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def model():
    return random_model()


def random_model(electronic_embedding=False, **changes):
    torch.manual_seed(3)
    shape = {"features": 16, "interactions": 2, "radial_functions": 10, "cutoff_angstrom": 3.0}
    precision = torch.get_default_dtype()
    # SchNetPack builds its radial basis in single precision only.
    torch.set_default_dtype(torch.float32)
    model = EnergyModel(Architecture(**shape | changes, electronic_embedding=electronic_embedding))
    torch.set_default_dtype(precision)
    model.to(precision).requires_grad_(True)
    for parameter in model.parameters():
        # Zero-initialised layers would hide what they do.
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.baseline_ev[:] = torch.linspace(0, -1e4, len(model.baseline_ev))
    return model


def graph_of(structures, positions=None):
    batch = AtomsBatch.from_atoms(structures)
    if positions is not None:
        batch = batch.with_positions(positions)
    return GraphBatch.from_batch(batch, neighbour_list(batch, 3.0))


def rattled(name, seed=0, **info):
    atoms = ase.build.molecule(name)
    atoms.rattle(0.1, seed=seed)
    atoms.info.update(info)
    return atoms


def test_energies_and_gradients_are_those_of_schnetpacks_own_forward(model, monkeypatch):
    graph = graph_of([rattled("CH3CH2OH"), rattled("H2O")])
    energy, forces = energies_and_forces(model, graph, create_graph=True)
    ours = torch.autograd.grad((forces**2).sum(), list(model.parameters()), allow_unused=True)
    monkeypatch.setattr(PaiNN, "forward", blocks.PaiNN.forward)
    reference, reference_forces = energies_and_forces(model, graph, create_graph=True)
    theirs = torch.autograd.grad(
        (reference_forces**2).sum(), list(model.parameters()), allow_unused=True
    )
    torch.testing.assert_close(energy, reference)
    torch.testing.assert_close(forces, reference_forces)
    assert float(forces.detach().abs().max()) > 1e-3
    for a, b in zip(ours, theirs, strict=True):
        if b is None or a is None:
            # Our first interaction leaves out what theirs multiplies with zero.
            assert a is None and (b is None or float(b.abs().max()) == 0)
        else:
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_forces_are_the_negative_gradient(model):
    structures = [rattled("CH3OH"), rattled("C2H4")]
    batch = AtomsBatch.from_atoms(structures)
    _, forces = energies_and_forces(model, graph_of(structures), create_graph=False)
    step = 1e-4
    for atom in (0, 3, len(batch.numbers) - 1):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                positions = batch.positions.clone()
                positions[atom, axis] += sign * step
                energies.append(model(graph_of(structures, positions))[0].sum())
            slope = float(energies[0] - energies[1]) / (2 * step)
            assert float(forces[atom, axis]) == pytest.approx(-slope, rel=1e-5, abs=1e-6)


def test_rotation_turns_forces_and_keeps_energies(model):
    atoms = rattled("CH3CH2OH")
    energy, forces = energies_and_forces(model, graph_of([atoms]), create_graph=False)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turned = atoms.copy()
    turned.positions = atoms.positions @ rotation.T + 7.0
    turned_energy, turned_forces = energies_and_forces(model, graph_of([turned]), False)
    torch.testing.assert_close(turned_energy, energy)
    torch.testing.assert_close(turned_forces, forces @ torch.from_numpy(rotation.T))


def test_permutation_permutes(model):
    atoms = rattled("CH3CH2OH")
    order = np.random.default_rng(2).permutation(len(atoms))
    energy, forces = energies_and_forces(model, graph_of([atoms]), create_graph=False)
    swapped_energy, swapped = energies_and_forces(model, graph_of([atoms[order]]), False)
    torch.testing.assert_close(swapped_energy, energy)
    torch.testing.assert_close(swapped, forces[order])


def test_size_consistency_and_company(model):
    near, far = rattled("CH3OH"), rattled("H2O")
    far.positions += 50.0
    alone, forces = energies_and_forces(model, graph_of([near, far]), create_graph=False)
    both, both_forces = energies_and_forces(model, graph_of([near + far]), create_graph=False)
    torch.testing.assert_close(both[0], alone.sum())
    torch.testing.assert_close(both_forces, forces)


def test_energy_is_smooth_at_the_cutoff(model):
    def energy(distance):
        pair = ase.Atoms("CO", [[0, 0, 0], [0, 0, distance]])
        return float(model(graph_of([pair]))[0].detach())

    apart = energy(5.0)
    assert energy(3.0 - 1e-5) == pytest.approx(apart, abs=1e-7)
    assert abs(energy(2.0) - apart) > 1e-4


def test_single_precision_network_keeps_the_baselines_millielectronvolts():
    torch.set_default_dtype(torch.float32)
    model = random_model()
    model.scale_ev.fill_(0.0)
    energy, _ = model(graph_of([rattled("C6H6")]))
    counts = torch.tensor([1] * 6 + [6] * 6)
    assert energy.dtype == torch.float64
    assert float(energy.detach()) == pytest.approx(float(model.baseline_ev[counts].sum()), abs=1e-6)


def test_electronic_embedding_tells_charge_and_spin_apart():
    model = random_model(electronic_embedding=True)
    states = [(0, 1), (1, 2), (-1, 2), (0, 3)]
    energies, _ = model(graph_of([rattled("CH3OH", charge_e=q, multiplicity=m) for q, m in states]))
    gaps = (energies[:, None] - energies).abs() + torch.eye(len(states))
    assert float(gaps.min()) > 1e-4


def test_electronic_embedding_does_not_see_its_neighbours_in_the_batch():
    model = random_model(electronic_embedding=True)
    ion, other = rattled("CH3OH", charge_e=1, multiplicity=2), rattled("C6H6", charge_e=-1)
    alone, _ = model(graph_of([ion]))
    together, _ = model(graph_of([other, ion, other]))
    assert float(together[1]) == pytest.approx(float(alone[0]), abs=1e-6)


def test_neutral_singlets_do_not_feel_the_embedding():
    model = random_model(electronic_embedding=True)
    graph = graph_of([rattled("CH3OH")])
    energy, _ = model(graph)
    model.representation.electronic_embeddings = torch.nn.ModuleList()
    assert float(energy.detach()) == pytest.approx(float(model(graph)[0].detach()), abs=1e-9)


def test_spin_enters_as_unpaired_electrons():
    inputs = schnetpack_inputs(graph_of([rattled("O2", multiplicity=3), rattled("H2O")]))
    assert inputs["unpaired_electrons"].tolist() == [2.0, 0.0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine with a GPU")
def test_auto_is_the_cpu_without_a_gpu_and_says_so_while_gpu_is_strict(capsys):
    assert torch_device("auto") == "cpu"
    assert "sees no GPU" in capsys.readouterr().out
    assert torch_device("cpu") == "cpu"
    assert not capsys.readouterr().out
    with pytest.raises(CampaignError, match="sees no GPU"):
        torch_device("gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a machine without a GPU")
def test_auto_is_the_gpu_where_there_is_one(capsys):
    assert torch_device("auto") == torch_device("gpu") == "cuda"
    assert not capsys.readouterr().out
