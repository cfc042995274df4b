"""Flags of excited states go to the candidates whose label or confirmation is shown."""

import numpy as np
import pandas as pd

from molsieve.ranking_flags import excitation_flags, with_excitation_flags

STRUCTURES = pd.DataFrame(
    {
        "structure_id": ["s1", "s1 moved", "s2", "s3", "atom"],
        "candidate_id": ["c1", "c1", "c2", "c3", None],
        "origin": ["relaxed", "displaced", "relaxed", "relaxed", "relaxed"],
    }
)
LABELS = pd.DataFrame(
    {
        "structure_id": ["s1 moved", "s1", "s2", "s3", "atom"],
        "status": ["ok", "ok", "failed", "ok", "ok"],
        "excitation_flags": [["s1_rydberg"], ["s1_charge_transfer"], ["inverted_gap"], [], None],
    }
)


def test_a_label_s_flags_are_its_candidate_s():
    assert excitation_flags(STRUCTURES, LABELS) == {"c1": ["s1_charge_transfer"], "c3": []}


def test_labels_of_ground_states_have_none():
    assert excitation_flags(STRUCTURES, LABELS.assign(excitation_flags=None)) == {}
    assert excitation_flags(STRUCTURES, LABELS.drop(columns="excitation_flags")) == {}


def test_only_shown_values_are_flagged_and_each_word_once():
    table = pd.DataFrame(
        {
            "candidate_id": ["c1", "c2", "c3"],
            "flags": [["out_of_domain"], [], []],
            "label_value": [0.3, np.nan, np.nan],
            "confirmed_value": [0.2, np.nan, 0.1],
        }
    )
    labelled = {"c1": ["s1_charge_transfer"], "c2": ["s1_rydberg"]}
    confirmed = {"c1": ["s1_charge_transfer", "inverted_gap"], "c3": ["s1_above_ionisation"]}
    assert with_excitation_flags(table, labelled, confirmed) == [
        ["out_of_domain", "s1_charge_transfer", "inverted_gap"],
        [],
        ["s1_above_ionisation"],
    ]
