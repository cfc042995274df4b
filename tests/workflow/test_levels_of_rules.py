"""Which level of theory each rule works at, where a better one corrects labels.level."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .conftest import REPOSITORY, Workspace

PROBE = f"""
include: "{REPOSITORY / "Snakefile"}"

import json

told = {{one.name: dict(getattr(rules, one.name).params.items()) for one in workflow.rules}}
told = {{name: {{k: v for k, v in params.items() if "level" in k and not callable(v)}}
        for name, params in told.items()}}
print("LEVELS", json.dumps(told))
"""
LABELS, BETTER_LABELS = (f"rounds/0/dataset/{name}.parquet" for name in ("labels", "fidelity"))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """Each rule's levels, as their names, and the inputs of its first job; nothing is run.

    The campaign's levels are "tda", which teaches, "better", and "dear", which confirms.
    """
    folder = tmp_path_factory.mktemp("levels")
    (folder / "campaign.yaml").write_text(Path(__file__).with_name("oled.yaml").read_text())
    (folder / "probe.smk").write_text(PROBE)
    (folder / "workflow").symlink_to(REPOSITORY / "workflow")
    space = Workspace(folder)
    levels = space.campaign()["levels"]
    confirm = space.campaign()["ranking"]["confirm"]
    space.edit(
        levels={"dear": levels["better"] | {"basis": "3-21G"}},
        ranking={"confirm": confirm | {"level": "dear"}},
    )
    printed = space.run("all", "--dry-run", "--snakefile", "probe.smk").stdout
    told = json.loads(re.search(r"^LEVELS (.*)$", printed, re.M).group(1))
    names = {rule: {k: _name(v) for k, v in params.items()} for rule, params in told.items()}
    inputs: dict[str, list[str]] = {}
    for rule, files in re.findall(r"^(?:rule|checkpoint) (\w+):\n    input: (.*)$", printed, re.M):
        inputs.setdefault(rule, files.split(", "))
    return names, inputs


def _name(level):
    """Of a level as params have it: its name, or that with its identity; of several a list."""
    if isinstance(level, list):
        return [_name(one) for one in level]
    return level["name"] if isinstance(level, dict) else level


def test_every_rule_labels_and_trains_at_its_own_level(planned):
    levels, _ = planned
    for rule in ("label_batch", "collect_labels", "train_member", "select_batch"):
        assert levels[rule]["level"] == "tda", rule
    for rule in ("label_fidelity", "collect_fidelity"):
        assert levels[rule]["level"] == "better", rule
    # Predictions are at the last of them.
    assert levels["train_property_member"]["levels"] == ["tda", "better"]
    assert levels["rank_candidates"] == {"labels_level": "better", "confirm_level": "dear"}
    assert levels["confirm_hits"]["labels_level"] == "better"


def test_objectives_are_read_at_the_better_level(planned):
    _, inputs = planned

    def reads(rule, *endings):
        return [any(file.endswith(end) for file in inputs[rule]) for end in endings]

    references = [f"references/{level}/calibration.json" for level in ("better", "tda")]
    for rule in (
        "select_batch", "evaluate_committee", "predict_candidates", "assess_round", "select_hits",
        "rank_candidates",
    ):  # fmt: skip
        assert reads(rule, *references) == [True, False], rule
    assert reads("rank_candidates", "references/dear/calibration.json") == [True]
    assert reads("train_member", *references) == [False, True]
    for rule in ("assess_round", "select_hits", "rank_candidates"):
        assert reads(rule, BETTER_LABELS, LABELS) == [True, False], rule
    for rule in ("train_property_member", "evaluate_committee"):
        assert reads(rule, BETTER_LABELS, LABELS) == [True, True], rule
    assert reads("train_member", BETTER_LABELS, LABELS) == [False, True]


def test_hits_are_computed_where_objectives_are_and_at_the_confirming_level(planned):
    _, inputs = planned
    labelled = {
        match.group(1)
        for file in inputs["rank_candidates"]
        if (match := re.search(r"/rounds/0/hits/(\w+)/0\.parquet$", file))
    }
    assert labelled == {"better", "dear"}
