"""What pydantic alone refuses in an OLED campaign, and what jobs' sizes rest on."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from molsieve.domains.oled import config
from molsieve.loading import load_mapping
from molsieve.section import CampaignError

DEMO = yaml.safe_load((Path(__file__).parents[3] / "config/demo_oled.yaml").read_text())


def demo(path, value):
    mapping = copy.deepcopy(DEMO)
    *sections, last = path.split(".")
    place = mapping
    for section in sections:
        place = place.setdefault(section, {})
    place[last] = value
    return mapping


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("levels.pbe0.excitations", None, r"labels\.level: 'pbe0' has no excited states"),
        ("levels.pbe0.excitations", {"triplets": 0}, r"labels\.level: 'pbe0' has no excited"),
        ("levels.cam_b3lyp", {"engine": "tblite"}, r"confirm\.level: 'cam_b3lyp' has no excited"),
        (
            "acquisition.seed_labels",
            4,
            r"acquisition\.seed_labels: 4 x seed_random_share 0\.3 buys",
        ),
        ("acquisition.batch_labels", 1, r"acquisition\.batch_labels: 1 leaves 1 beside"),
        (
            "structures.relaxed_conformers",
            13,
            r"structures\.relaxed_conformers: 13 exceeds .*\(12\)",
        ),
        ("candidates.filters.min_atoms", 17, r"filters\.min_atoms: 17 exceeds max_atoms \(16\)"),
        ("candidates.filters.min_heavy_atoms", 11, r"min_heavy_atoms: 11 exceeds max_heavy_atoms"),
        ("candidates.source.lists", ["a", "a"], r"source\.lists: a twice; keep one"),
        ("candidates.source.substituents", ["*C", "*C"], r"source\.substituents: \*C twice"),
        ("candidates.source.patterns", ["A-D"], r"source\.patterns\[0\].*did you mean D-A"),
        ("candidates.source.kind", "enumerate", r"source\.kind.*fragments.*file"),
        (
            "objective.goals",
            {"sa_score": {"direction": "minimise", "worst": 5, "ideal": 1}},
            "goals",
        ),
    ],
)
def test_a_contradiction_is_named_by_key_and_value(path, value, said):
    with pytest.raises(CampaignError, match=said):
        load_mapping(demo(path, value))


def test_one_window_is_no_matter_for_functions_of_a_normal_utility():
    """Its utility ends at 1: an expected improvement beyond would be none."""
    goal = {"direction": "window", "window": [2.6, 3.4], "worst": 1.5}
    for function in ("expected_improvement", "upper_confidence_bound", "scalarised_thompson"):
        told = demo("objective.goals", {"singlet_energy": goal})
        told["acquisition"]["function"] = function
        with pytest.raises(CampaignError, match="one goal, a window; allowed: epsilon_greedy, th"):
            load_mapping(told)
    assert load_mapping(told | {"acquisition": told["acquisition"] | {"function": "thompson"}})


def test_jobs_grow_with_what_is_asked():
    more = config.Structures(twists=20, relaxed_conformers=4)
    assert config.building_s(more, 0.1) > config.building_s(config.Structures(), 0.1)
    source = load_mapping(DEMO).candidates.source
    wider = source.model_copy(
        update={"substituents": ["*C"], "patterns": ["D-A", "D-B-A", "D-A-D"]}
    )
    assert config.raw_candidates(wider) >= config.raw_candidates(source) > 300
    assert config.raw_candidates(config.FromFile(kind="file", path="nowhere.smi")) == 0


def test_the_users_own_lists_are_the_workflows_inputs():
    source = {"kind": "fragments", "lists": ["push_pull", "mine/donors.csv"]}
    candidates = config.Candidates.model_validate({"source": source})
    assert config.candidate_files(candidates) == ["mine/donors.csv"]
    assert config.raw_candidates(candidates.source) > 0, "what is missing is left to the checks"
    file = config.Candidates.model_validate({"source": {"kind": "file", "path": "a.smi"}})
    assert config.candidate_files(file) == ["a.smi"]


def test_parsing_a_campaign_imports_nothing_heavy():
    code = (
        "import molsieve.domains.oled.config, sys; "
        "print({'numpy', 'pandas', 'rdkit', 'torch', 'ase'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
