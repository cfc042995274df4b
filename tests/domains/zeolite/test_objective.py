"""Binding energies and scores against values worked out by hand, and published ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molsieve.crystals.known import known_framework
from molsieve.domains.zeolite import config, scores
from molsieve.domains.zeolite.objective import (
    calibrate_level,
    extrapolated,
    guests_a_cell,
    judged_geometries,
    labelled_values,
    objective_values,
    utility,
)
from molsieve.domains.zeolite.references import measured_systems, reference_tasks
from molsieve.section import CampaignError
from molsieve.tables import read_table
from molsieve.units import EV_PER_KJ_PER_MOL

FRAMEWORK = [14, 8, 8] * 3
GUEST = [7, 1, 1, 1]
OBJECTIVE = config.Objective()


def composition(n: int) -> dict[str, list]:
    return {"complex": [FRAMEWORK + n * GUEST], "framework": [FRAMEWORK], "guest": [GUEST]}


def test_binding_energy_by_hand() -> None:
    energies = {
        "complex": np.array([[-31.0], [-30.0]]),
        "framework": np.array([[-20.0], [-20.0]]),
        "guest": np.array([[-5.0], [-5.0]]),
    }
    two = objective_values(energies, {}, composition(2))
    np.testing.assert_allclose(two, [[-0.5], [0.0]])
    assert utility(-0.5, OBJECTIVE) == 0.5, "bound is good"
    assert np.isnan(utility(np.nan, OBJECTIVE)) and not extrapolated(two, {}).any()


def test_guests_are_counted_and_nonsense_is_refused() -> None:
    assert guests_a_cell(composition(3)).tolist() == [3.0]
    assert np.isnan(guests_a_cell(composition(1) | {"guest": [None]})).all()
    with pytest.raises(ValueError, match="are not"):
        guests_a_cell(composition(1) | {"guest": [[7, 1, 1]]})
    with pytest.raises(ValueError, match="are not"):
        guests_a_cell(composition(0))


def row(name: str, role: str, species: str, origin: str, owner: str | None = "c") -> dict:
    numbers = {"complex": FRAMEWORK + GUEST, "framework": FRAMEWORK, "guest": GUEST}[role]
    return {
        "structure_id": name,
        "species_id": species,
        "role": role,
        "origin": origin,
        "candidate_id": owner,
        "numbers": numbers,
        "conformer": 0,
    }


def labels(**energies: float) -> pd.DataFrame:
    return pd.DataFrame(
        [{"structure_id": k, "status": "ok", "energy_ev": e} for k, e in energies.items()]
    )


BUILT = [
    row("pose", "complex", "C", "built"),
    row("empty", "framework", "F", "relaxed"),
    row("molecule", "guest", "G", "relaxed"),
]
FROZEN = {"pose": -26.0, "empty": -20.0, "molecule": -5.0}


def test_a_docked_pose_alone_tells_no_value() -> None:
    assert labelled_values(pd.DataFrame(BUILT), labels(**FROZEN), {}).empty


def test_a_labelled_minimum_does_and_the_lowest_geometry_counts() -> None:
    minima = [
        row("minimum", "complex", "C", "relaxed", "c"),
        row("empty minimum", "framework", "F", "relaxed", None),  # labelled for somebody else
    ]
    rows, known = pd.DataFrame([*BUILT, *minima]), {"quartz_energy_ev_per_t": -7.0}
    low = labels(**FROZEN, **{"minimum": -26.5, "empty minimum": -20.2})
    values = labelled_values(rows, low, known)
    assert values["candidate_id"].tolist() == ["c"]
    assert values["value"].tolist() == pytest.approx([-26.5 + 20.2 + 5.0])
    assert values["framework_ev_per_t"].tolist() == pytest.approx([-20.2 / 3 + 7.0])
    # A young committee's minimum above its pose: the pose's energy is the better bound.
    high = labels(**FROZEN, **{"minimum": -25.0})
    assert labelled_values(rows, high, known)["value"].tolist() == pytest.approx([-1.0])
    failed = low.assign(status=["ok", "failed", "ok", "ok", "failed"])
    assert labelled_values(rows, failed, known).empty


def test_a_minimum_of_another_substance_tells_no_value_and_a_moved_proton_is_told() -> None:
    place = {
        "pose": [0.0, 1.0, 2.9, 3.9],  # N-H … O-H
        "hopped": [0.0, 1.95, 2.9, 3.9],
        "broken": [0.0, 1.0, 2.9, 9.0],
    }

    def line(name: str, origin: str) -> dict:
        positions = np.zeros((4, 3))
        positions[:, 0] = place[name]
        cell = {"cell_angstrom": [0.0] * 9, "pbc": [False] * 3, "charge_e": 0, "multiplicity": 1}
        own = {"numbers": [7, 1, 8, 1], "positions_angstrom": positions.ravel().tolist(), **cell}
        parent = None if origin == "built" else "pose"
        return row(name, "complex", "C", origin) | own | {"parent_structure_id": parent}

    parts = [row("empty", "framework", "F", "relaxed"), row("molecule", "guest", "G", "relaxed")]
    for part, numbers in zip(parts, ([8, 1], [7, 1]), strict=True):
        part |= {"numbers": numbers, "parent_structure_id": None}
    known = labels(pose=-26.0, hopped=-27.0, broken=-40.0, empty=-20.0, molecule=-5.0)
    built = line("pose", "built")
    whole = labelled_values(pd.DataFrame([built, line("hopped", "relaxed"), *parts]), known, {})
    assert whole["value"].tolist() == [-2.0] and whole["proton_moved"].tolist() == [True]
    lost = labelled_values(pd.DataFrame([built, line("broken", "relaxed"), *parts]), known, {})
    assert lost.empty, "its only minimum is no complex any more"
    both = pd.DataFrame([built, line("broken", "relaxed"), *parts])
    judged = judged_geometries(both, known).set_index("role")
    assert judged.loc["complex", "structure_id"] == "pose", "the committee is judged at the pose"
    nowhere = judged_geometries(both, known[known["structure_id"] != "pose"])
    assert "complex" not in set(nowhere["role"])


def test_the_committee_is_judged_at_what_was_labelled() -> None:
    judged = judged_geometries(pd.DataFrame(BUILT), labels(**FROZEN)).set_index("role")
    assert judged["structure_id"].to_dict() == {
        "complex": "pose",
        "framework": "empty",
        "guest": "molecule",
    }
    assert set(judged["origin"]) == {"relaxed"}
    values = labelled_values(judged.reset_index(), labels(**FROZEN), {})
    assert values["value"].tolist() == pytest.approx([-1.0])
    both = pd.DataFrame([*BUILT, row("minimum", "complex", "C", "relaxed")])
    judged = judged_geometries(both, labels(**FROZEN, minimum=-25.0)).set_index("role")
    assert judged.loc["complex", "structure_id"] == "minimum"


def references(*built: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Species of quartz, CHA and a silicon atom; structures and labels of those built."""
    species, structures, energies = [], [], {"Si": -60.0}
    for name, role in (("quartz", "quartz"), ("CHA", "measured")):
        numbers = known_framework(name).atoms.numbers.tolist()
        status = {"status": "ok", "error_kind": None, "error_message": None}
        if name not in built:
            status = {"status": "failed", "error_kind": "rearranged", "error_message": "Si1 left"}
        else:
            structures.append(
                {"structure_id": name, "species_id": name, "role": role, "numbers": numbers}
            )
            energies[name] = -100.0 * numbers.count(14) + (1.8 if name == "CHA" else 0.0)
        species.append({"species_id": name, "couple": name} | status)
    species.append({"species_id": "Si", "couple": None, "status": "ok"})
    structures.append({"structure_id": "Si", "species_id": "Si", "role": "atom", "numbers": [14]})
    rows = labels(**energies).assign(error_kind=None, error_message=None)
    return pd.DataFrame(species), pd.DataFrame(structures), rows


def calibrated(folder: Path, tables: tuple[pd.DataFrame, ...]) -> tuple[dict, pd.DataFrame]:
    """What the calibration returns, which is what it writes, and the table of references."""
    outputs = folder / "references.parquet", folder / "calibration.json"
    found = calibrate_level(*tables, measured_systems(), "level", *outputs, "test")
    assert json.loads(outputs[1].read_text()) == found
    return found, read_table(outputs[0], "references").set_index("name")


def test_calibration_sets_frameworks_against_quartz(tmp_path: Path) -> None:
    found, table = calibrated(tmp_path, references("quartz", "CHA"))
    # The conventional cell of CHA has 36 T sites.
    assert found["quartz_energy_ev_per_t"] == pytest.approx(-100.0)
    assert found["enthalpy_mae_ev_per_t"] == pytest.approx(abs(0.05 - 11.4 * EV_PER_KJ_PER_MOL))
    assert found["atom_energies_ev"] == {"14": -60.0} and found["failed"] == {}
    assert table["computed"].to_dict() == pytest.approx({"CHA": 0.05})
    assert set(table["unit"]) == {"eV/SiO2"}


def test_a_framework_without_an_energy_is_told_with_the_reason(tmp_path: Path) -> None:
    found, table = calibrated(tmp_path, references("quartz"))
    assert found["failed"] == {"CHA": "not built: rearranged, Si1 left"}
    assert found["n"] == 0 and "enthalpy_mae_ev_per_t" not in found
    assert table["computed"].isna().all() and not table["used"].any()
    assert table["measured"].notna().all(), "asked for, so listed"
    tables = references("quartz", "CHA")
    failure = {"status": "failed", "error_kind": "timeout", "error_message": "after 9 s"}
    tables[2].loc[tables[2]["structure_id"] == "CHA", list(failure)] = list(failure.values())
    assert calibrated(tmp_path, tables)[0]["failed"] == {"CHA": "not labelled: timeout, after 9 s"}
    unlabelled = tables[2][tables[2]["structure_id"] != "CHA"]
    found, _ = calibrated(tmp_path, (*tables[:2], unlabelled))
    assert found["failed"] == {"CHA": "not labelled: no reason"}


def test_without_quartz_it_says_what_failed_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"not built: rearranged, Si1 left\..*Delete") as raised:
        calibrated(tmp_path, references("CHA"))
    assert "retry" not in str(raised.value), "no label is at fault"
    species, structures, rows = references("quartz", "CHA")
    failure = {"status": "failed", "error_kind": "scf_not_converged", "error_message": "99 cycles"}
    rows.loc[rows["structure_id"] == "quartz", list(failure)] = list(failure.values())
    says = r"not labelled: scf_not_converged, 99 cycles\..*retry --references"
    with pytest.raises(CampaignError, match=says):
        calibrated(tmp_path, (species, structures, rows))


def test_references_are_measured_and_at_hand(tmp_path: Path) -> None:
    assert list(reference_tasks(OBJECTIVE, 0.05, 0)) == ["quartz", "CHA"]
    for codes, says in ((["XYZ"], "no measured enthalpy"), (["MFI"], "is not typed in")):
        with pytest.raises(CampaignError, match=says):
            reference_tasks(config.Objective(reference_frameworks=codes), 0.05, 0)
    with pytest.raises(CampaignError, match=r"no CHA\.cif in"):
        reference_tasks(config.Objective(reference_folder=str(tmp_path)), 0.05, 0)


def test_competition_is_the_published_one() -> None:
    """OSDA_1 of github.com/learningmatter-mit/Zeolite-Phase-Competition, kJ/mol SiO2."""
    table = {
        "AEI": (-18.009299833350035, -3.8770014854638335),
        "SAS": (-14.1322983478862, 0.0),
        "CHA": (-14.059667920809677, 0.0726304270765219),
        "ITE": (-13.950034586131382, 0.18226376175481812),
        "SAT": (-0.77565033208849, 13.35664801579771),
    }
    binding, competition = np.array(list(table.values())).T
    codes = np.array(list(table))
    found = scores.over_second_lowest(binding, np.full(5, "guest"), codes)
    np.testing.assert_allclose(found, competition, atol=1e-12)
    alone = scores.over_second_lowest(binding, codes, np.full(5, "guest"))
    assert np.isnan(alone).all(), "a group of one has no second"


def test_of_several_arrangements_the_lowest_competes() -> None:
    energies = np.array([-3.0, -2.9, -1.0])
    codes = np.array(["CHA", "CHA", "SOD"])
    found = scores.over_second_lowest(energies, np.full(3, "guest"), codes)
    np.testing.assert_allclose(found, [-2.0, -1.9, 0.0])


def test_templating_by_hand() -> None:
    frameworks = np.array(["A", "A", "B", "B"])
    guests = np.array(["x", "y", "x", "y"])
    equal = scores.templating(np.zeros(4), np.zeros(4), frameworks, guests)
    kt = 8.617333262e-5 * 400
    np.testing.assert_allclose(equal, kt * np.log(2))
    low = np.array([-1.0, 0.0, 0.0, 0.0])
    one = scores.templating(low, low, frameworks, guests)
    assert one[0] == pytest.approx(0.0, abs=1e-9) and one.argmin() == 0
    # Of the four free energies two see the lower energy, the others two equal ones.
    half = scores.templating(low, np.zeros(4), frameworks, guests)
    assert half[0] == pytest.approx(kt * np.log(2) / 2)


def test_templating_weighs_pairs_as_the_published_tables_do() -> None:
    """kJ/mol SiO2 and kJ/mol guest of OSDA_1 (39 atoms) and OSDA_2 (36) in two frameworks.

    What depends on one framework or one guest only, as their sums over all others, drops out of
    the difference of differences.
    """
    per_t = np.array(
        [-6.764480004517214, -6.761686504475871, -7.746679413835984, -5.28158432031561]
    )
    a_guest = np.array(
        [-182.6409601219648, -121.71035708056569, -185.9203059320636, -126.75802368757464]
    )
    published = np.array(
        [19.764432902150077, 20.798673471651146, 18.464456181589565, 20.701783962178517]
    )
    per_atom = a_guest / np.array([39, 36, 39, 36])
    frameworks, guests = np.array(["SSF", "SSF", "AFI", "AFI"]), np.array(["1", "2", "1", "2"])
    ours = scores.templating(
        per_t * EV_PER_KJ_PER_MOL, per_atom * EV_PER_KJ_PER_MOL, frameworks, guests
    )
    signs = np.array([1, -1, -1, 1])
    assert signs @ ours == pytest.approx(signs @ published * EV_PER_KJ_PER_MOL, abs=1e-12)


def test_templating_weighs_the_frameworks_at_the_published_temperature() -> None:
    """Within one guest frameworks of equal energies share the weight: the sum is over rivals."""
    energies = np.array([0.0, 0.0, -0.02])
    codes = np.array(["A", "B", "C"])
    found = scores.free_energies(energies, np.full(3, "guest"), codes)
    weights = np.exp(-found / (8.617333262e-5 * 400.0))
    np.testing.assert_allclose(weights.sum(), 1.0)
    assert weights[2] / weights[0] == pytest.approx(np.exp(0.02 / (8.617333262e-5 * 400.0)))
    # Another loading in C stands behind the better one there: nobody's weight changes.
    more = scores.free_energies(
        np.append(energies, -0.01), np.full(4, "guest"), np.append(codes, "C")
    )
    np.testing.assert_allclose(more[:3], found)
    assert more[3] == pytest.approx(found[2] + 0.01)


def test_ranking_columns_member_by_member() -> None:
    ranking = pd.DataFrame(
        {
            "identifier": ["A|pure|CN|1", "B|pure|CN|1", "A|pure|CO|2", "B|pure|CO|1"],
            "label_value": [np.nan, -1.0, np.nan, np.nan],
            "framework_ev_per_t": [np.nan, 0.12, np.nan, np.nan],
        }
    )
    members = np.array([[-1.0, -9.0, -0.6, np.nan], [-1.2, -9.0, -0.6, np.nan]])
    found = scores.ranking_columns(ranking, members, [FRAMEWORK, FRAMEWORK * 2, FRAMEWORK, None])
    assert found["binding_ev_per_t"].tolist()[:3] == pytest.approx([-1.1 / 3, -1 / 6, -0.4])
    # Against B, known by its label: -1/3 + 1/6 and -1.2/3 + 1/6.
    assert found["competition_ev_per_t"][0] == pytest.approx((-1 / 3 - 1.2 / 3) / 2 + 1 / 6)
    assert found["competition_std_ev_per_t"][0] == pytest.approx(0.2 / 3 / np.sqrt(2))
    assert found["framework_ev_per_t"].tolist()[1::2] == [0.12, 0.12], "B's, for all its guests"
    assert np.isnan(found.loc[3, "templating_ev"])
    # Its own pair is the only one that is known of its guest; of framework A it competes with CN:
    # per T site -0.4 against -1/3 and -0.4, per atom -0.6/6 against -1/7 and -1.2/7.
    kt = 8.617333262e-5 * 400
    per_t, per_atom = np.array([-1 / 3, -0.4]) + 0.4, np.array([-1 / 7, -1.2 / 7]) + 0.1
    expected = kt / 4 * (np.log1p(np.exp(-per_t / kt)) + np.log1p(np.exp(-per_atom / kt)))
    assert found.loc[2, "templating_ev"] == pytest.approx(expected.mean())
    assert found.loc[2, "templating_std_ev"] == pytest.approx(expected.std(ddof=1))
    assert np.isnan(found["framework_ev_per_t"][0])
