"""Results of a campaign with property heads, as far as its committees need them: water molecules.

Energies of GFN2-xTB; excited states of TDA-HF/STO-3G, which teaches, and of TDA-HF/3-21G.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from molsieve.campaign import Prediction
from molsieve.chem.identities import structure_row
from molsieve.evaluation import evaluate_round
from molsieve.potential.committee import Committee
from molsieve.prediction import predict_candidates
from molsieve.properties.committee import PropertyCommittee
from molsieve.properties.definitions import PROPERTIES
from molsieve.properties.training import train_property_member
from molsieve.property_settings import Fidelity, Properties
from molsieve.tables import write_json, write_table
from tests.finished_campaign import LEVEL, SETTINGS, results, water  # noqa: F401 (a fixture)
from tests.potential.conftest import gfn2, label_row
from tests.properties.conftest import excited

BETTER = "bettertestlevel0"
SPLITS = ["train"] * 10 + ["calibration"] * 6 + ["test"] * 4
HEADS = Properties(max_epochs=4, fidelity=Fidelity(level="better"), attention_heads=2)


_built: list[Path] = []
"""Of this process, whichever conftest asked first."""


@pytest.fixture(scope="session")
def excited_results(results: Path, tmp_path_factory) -> Path:  # noqa: F811
    """``results/emitters``: one round; energies by the finished campaign's members. Read it."""
    if not _built:
        folder = tmp_path_factory.mktemp("excited") / "results" / "emitters"
        _built.append(_campaign(folder, results))
    return _built[0]


def _campaign(folder: Path, results: Path) -> Path:  # noqa: F811
    """Members, evaluation and predictions, each by the library's own function."""
    place = folder / "rounds/0"
    shutil.copytree(results / "rounds/0/committee", place / "committee")
    record = json.loads((results / "campaign.json").read_text())
    record |= {"campaign": "emitters", "domain": "oled"}
    write_json(record | {"properties": HEADS.model_dump(mode="json")}, folder / "campaign.json")
    dataset, structures, labels = tables()
    own, better = (labels[labels["level_id"] == level] for level in (LEVEL, BETTER))
    members = [place / "committee" / str(number) for number in range(2)]
    heads = [place / "properties" / str(number) for number in range(2)]
    for number, head in enumerate(heads):
        train_property_member(
            dataset, structures, [own, better], [LEVEL, BETTER], tuple(PROPERTIES), SETTINGS, HEADS,
            3, number, head, energy_member=members[number],
        )  # fmt: skip
    evaluation = place / "evaluation"
    write_table(dataset, "dataset", place / "dataset/dataset.parquet")
    write_table(structures, "structures", place / "dataset/structures.parquet")
    level = {"level_id": BETTER}
    committees = (Committee.load(members), PropertyCommittee.load(heads))
    calibration = evaluate_round(
        dataset, structures, own, committees[0], "oled", level, Prediction(max_steps=0), 0, BETTER,
        evaluation / "metrics.parquet", evaluation / "calibration.json",
        evaluation / "parity.parquet", property_committee=committees[1], better_labels=better,
    )  # fmt: skip
    names = dataset["candidate_id"].tolist()
    none = pd.DataFrame(columns=["candidate_id", "status"])
    predict_candidates(
        pd.DataFrame({"candidate_id": names, "status": "accepted"}), none, structures,
        committees[0], "oled", calibration, level, Prediction(max_steps=0), 0, BETTER,
        place / "predictions/0/predictions.parquet", place / "predictions/0/structures.parquet",
        property_committee=committees[1],
    )  # fmt: skip
    return folder


def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(dataset, structures, labels of both levels) of twenty distorted waters, each a candidate."""
    structures, labels, dataset = [], [], []
    for number, split in enumerate(SPLITS):
        atoms, name = water(0.12 * (number % 4) / 3 + 0.02, number), f"water {number:02d}"
        row = structure_row(
            atoms, species_id=name, origin="relaxed", geometry_protocol_id="test",
            candidate_id=name, role="ground",
        )  # fmt: skip
        structures.append(row)
        plain = label_row(row["structure_id"], *gfn2(atoms))
        for level, basis in ((LEVEL, "sto-3g"), (BETTER, "3-21g")):
            told = excited(atoms, basis)
            told["energy_ev"] = plain["energy_ev"]
            labels.append(plain | told | {"level_id": level})
        dataset.append(
            {
                "round": 0, "structure_id": row["structure_id"], "level_id": LEVEL,
                "species_id": name, "split": split, "group": name, "why": "random",
                "candidate_id": name,
            }
        )  # fmt: skip
    return pd.DataFrame(dataset), pd.DataFrame(structures), pd.DataFrame(labels)
