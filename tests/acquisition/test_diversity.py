"""Max-min picking against RDKit and a plain search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from molsieve.acquisition.diversity import pick_max_min, tanimoto_distances, unpack_fingerprints

SMILES = ["O=C1C=CC(=O)C=C1", "CC1=CC(=O)C=CC1=O", "O=C1C=CC(=O)c2ccccc21", "c1ccccc1O", "CCO"]


def packed(bits):
    return [np.packbits(row).tobytes() for row in bits]


def bit_sets(low=1, high=9):
    return (
        st.integers(low, high)
        .flatmap(lambda n: st.lists(st.integers(0, 2**24 - 1), min_size=n, max_size=n))
        .map(lambda values: np.array([[v >> b & 1 for b in range(24)] for v in values], np.uint8))
    )


def test_distances_are_those_of_rdkit():
    generator = GetMorganGenerator(radius=2, fpSize=1024)
    vectors = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in SMILES]
    words = unpack_fingerprints(
        packed([np.frombuffer(v.ToBitString().encode(), np.uint8) - ord("0") for v in vectors])
    )
    for vector, word in zip(vectors, words, strict=True):
        expected = 1 - np.array(DataStructs.BulkTanimotoSimilarity(vector, vectors))
        np.testing.assert_allclose(tanimoto_distances(word, words), expected)


@given(bits=bit_sets(), count=st.integers(1, 9), start=bit_sets(0, 3))
def test_each_pick_is_the_farthest_from_those_before(bits, count, start):
    words, starts = unpack_fingerprints(packed(bits)), unpack_fingerprints(packed(start))
    picks, distances = pick_max_min(words, count, starts.reshape(-1, words.shape[1]))
    assert len(picks) == min(count, len(bits))
    before, left = list(starts), set(range(len(words)))
    for pick, distance in zip(picks.tolist(), distances, strict=True):
        if before:
            nearest = np.min([tanimoto_distances(b, words) for b in before], axis=0)
            assert nearest[pick] == pytest.approx(distance)
            assert nearest[pick] == max(nearest[sorted(left)])
        before.append(words[pick])
        left.remove(pick)


def test_far_clusters_are_visited_first():
    cluster = np.zeros((6, 64), np.uint8)
    for n in range(6):
        cluster[n, 20 * (n % 3) : 20 * (n % 3) + 10 + n // 3] = 1
    picks, _ = pick_max_min(unpack_fingerprints(packed(cluster)), 3)
    assert {int(p) % 3 for p in picks} == {0, 1, 2}


def test_starting_points_are_avoided():
    bits = np.eye(4, 16, dtype=np.uint8)
    words = unpack_fingerprints(packed(bits))
    picks, distances = pick_max_min(words, 3, words[:2])
    assert picks.tolist()[:2] == [2, 3]
    assert distances.tolist() == [1.0, 1.0, 0.0]


def test_nothing_to_pick_from():
    picks, distances = pick_max_min(unpack_fingerprints([]), 3)
    assert len(picks) == len(distances) == 0


def test_null_fingerprints_are_empty_and_lengths_must_agree():
    words = unpack_fingerprints([b"\xff\x00", None])
    assert np.bitwise_count(words).sum(axis=1).tolist() == [8, 0]
    with pytest.raises(ValueError, match="different lengths"):
        unpack_fingerprints([b"\x01", b"\x01\x02"])
