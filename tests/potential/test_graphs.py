import ase
import ase.build
import ase.neighborlist
import numpy as np
import pytest
import torch

from molsieve.potential.graphs import AtomsBatch, GraphSet, neighbour_list


def edge_set(batch, cutoff):
    edges = neighbour_list(batch, cutoff)
    vectors = edges.vectors(batch).numpy()
    return sorted(
        (int(i), int(j), *np.round(v, 6))
        for i, j, v in zip(edges.centre, edges.neighbour, vectors, strict=True)
    )


def ase_edge_set(structures, cutoff):
    found, start = [], 0
    for atoms in structures:
        i, j, v = ase.neighborlist.neighbor_list("ijD", atoms, cutoff)
        found += [(int(a + start), int(b + start), *np.round(w, 6)) for a, b, w in zip(i, j, v)]  # noqa: B905
        start += len(atoms)
    return sorted(found)


def test_molecular_edges_are_ases():
    structures = [ase.build.molecule(n) for n in ("CH3CH2OH", "H2O", "C6H6")]
    batch = AtomsBatch.from_atoms(structures)
    assert edge_set(batch, 3.0) == ase_edge_set(structures, 3.0)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
def test_periodic_edges_are_ases(pbc):
    crystal = ase.build.bulk("Si", cubic=True)
    crystal.rattle(0.05, seed=1)
    crystal.pbc = pbc
    if not pbc[2]:
        crystal.cell[2] = 0
    structures = [crystal, ase.build.molecule("CH3OH")]
    batch = AtomsBatch.from_atoms(structures)
    assert edge_set(batch, 4.0) == ase_edge_set(structures, 4.0)


def test_a_lone_atom_has_no_edges():
    batch = AtomsBatch.from_atoms([ase.Atoms("H"), ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])])
    assert neighbour_list(batch, 5.0).centre.tolist() == [1, 2]


def test_distances_in_blocks_change_nothing(monkeypatch):
    batch = AtomsBatch.from_atoms([ase.build.molecule(n) for n in ("C6H6", "H2O", "CH3OH")])
    whole = edge_set(batch, 4.0)
    monkeypatch.setattr("molsieve.potential.neighbours.PAIR_BLOCK", 1)
    assert edge_set(batch, 4.0) == whole


def test_edges_are_sorted_by_centre():
    crystal = ase.build.bulk("Si", cubic=True)
    batch = AtomsBatch.from_atoms([crystal, ase.build.molecule("H2O")])
    centre = neighbour_list(batch, 4.0).centre
    assert bool((centre.diff() >= 0).all())


def test_batch_of_a_set_equals_structures_one_by_one(tables_of_couples):
    _, structures, labels = tables_of_couples
    graphs = GraphSet.from_tables(structures, labels, 3.5)
    indices = torch.tensor([5, 0, 17, 5])
    together = graphs.batch(indices)
    atoms = edges = 0
    for place, index in enumerate(indices.tolist()):
        alone = GraphSet.from_tables(structures.iloc[[index]], labels, 3.5).data
        n, e = len(alone.numbers), len(alone.centre)
        assert torch.equal(together.numbers[atoms : atoms + n], alone.numbers)
        assert bool((together.structure[atoms : atoms + n] == place).all())
        assert torch.equal(together.centre[edges : edges + e] - atoms, alone.centre)
        assert torch.equal(together.neighbour[edges : edges + e] - atoms, alone.neighbour)
        assert torch.equal(together.vectors[edges : edges + e], alone.vectors)
        assert torch.equal(
            together.forces_ev_per_angstrom[atoms : atoms + n], alone.forces_ev_per_angstrom
        )
        assert float(together.energy_ev[place]) == float(alone.energy_ev[0])
        atoms, edges = atoms + n, edges + e
    assert (atoms, edges) == (len(together.numbers), len(together.centre))


def test_a_structure_without_label_is_named(tables_of_couples):
    _, structures, labels = tables_of_couples
    missing = labels["structure_id"].iloc[3]
    with pytest.raises(KeyError, match=missing):
        GraphSet.from_tables(structures, labels.drop(index=labels.index[3]), 3.5)


def test_label_of_an_optimised_geometry_sits_on_its_final_positions(tables_of_couples):
    _, structures, labels = tables_of_couples
    structures, labels = structures.iloc[:2], labels.iloc[:2].copy()
    moved = np.asarray(structures["positions_angstrom"].iloc[1]) * 1.1
    labels["final_positions_angstrom"] = [None, moved]
    built = GraphSet.from_tables(structures, labels.assign(final_positions_angstrom=None), 9.0)
    final = GraphSet.from_tables(structures, labels, 9.0)
    first = int(built.edge_counts[0])
    assert torch.equal(final.data.vectors[:first], built.data.vectors[:first])
    torch.testing.assert_close(final.data.vectors[first:], 1.1 * built.data.vectors[first:])
