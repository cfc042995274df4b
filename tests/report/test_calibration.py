import json
from dataclasses import replace

import pandas as pd
import pytest

from molsieve.report.calibration import LEVELS, calibration_section
from molsieve.report.learning import rounds_section
from molsieve.report.results import read_results
from molsieve.tables import read_table, write_table
from tests.report.campaign_tables import campaign, write_campaign


def measure(name: str, loss: float) -> dict:
    return {
        "measure": name,
        "loss": loss,
        "behind": loss + 1.0,
        "behind_error": 0.1,
        "interval_score": 0.5,
        "rank_correlation": None if name == "floor" else 0.4,
    }


CALIBRATION = {
    "measure": "moderated",
    "q68_conformal": True,
    "q95_conformal": False,
    "measures": [measure("moderated", -1.0), measure("floor", -0.9)],
    "force": {
        "measure": "component_feature_distance",
        "q68_conformal": True,
        "q95_conformal": True,
        "measures": [measure("component_feature_distance", -1.0), measure("component", -0.4)],
    },
    "domain": {
        "measure": "force_spread",
        "limit": 0.2,
        "rate": 0.05,
        "structures": 60,
        "groups": 30,
    },
}


def judged(round: int) -> list[dict]:
    """Figures of forces as evaluate_committee writes them."""
    told = {f"force_coverage_{level}": level / 100 for level in LEVELS}
    told |= {f"force_normal_coverage_{level}": (level / 100) ** 0.5 for level in LEVELS}
    told |= {"force_rank_correlation": 0.46, "false_alarm_share": 0.04}
    told["force_loss_of_component"] = -0.4
    return [
        {
            "round": round,
            "split": "test",
            "name": name,
            "unit": "1",
            "n": 900,
            "value": value,
            "interval": [0.9 * value, min(1.0, 1.1 * value)],
        }
        for name, value in told.items()
    ]


@pytest.fixture
def results(tmp_path):
    files = write_campaign(tmp_path)
    last = files.metrics[-1]
    rows = pd.concat([read_table(last, "metrics"), pd.DataFrame(judged(2))])
    write_table(rows, "metrics", last)
    calibration = tmp_path / "calibration.json"
    calibration.write_text(json.dumps(CALIBRATION))
    told = campaign().model_dump(mode="json")
    return read_results(told, replace(files, calibration=calibration), "")


def test_every_quantity_has_its_reliability_diagram(results):
    page = calibration_section(results)
    assert page.count("<svg") == 2
    assert "Objective: 12 candidates" in page and "Forces: 900 force components" in page
    assert page.count("conformal</text>") == 2 and page.count("normal</text>") == 1
    # Eleven levels of each kind for the forces, two for the objective: a mark each.
    marks = page.count('class="mark series-1"') + page.count('class="mark series-2"')
    assert marks == 2 * len(LEVELS) + 2 + 3  # and the legends' own


def test_coverage_stands_beside_its_interval(results):
    page = calibration_section(results)
    assert "0.680" in page and "[0.612, 0.748]" in page and "0.46" in page
    assert "95 % of objective" in page and "95 % of forces" not in page


def test_measures_are_listed_and_the_kept_one_named(results):
    page = calibration_section(results)
    assert "component + feature distance" in page and "Measures compared (4)" in page
    assert page.count(">kept<") == 2


def test_the_flag_tells_its_false_alarms(results):
    page = calibration_section(results)
    assert "At most 5.0 % of false alarms are promised, 4.0 % [3.6, 4.4] of 900" in page
    assert "its force spread exceeds the limit set on the 60 calibration structures" in page


def test_drawn_figures_are_not_listed_again(results):
    listed = rounds_section(results)
    assert "force rank correlation" in listed and "false alarm share" in listed
    for name in ("normal coverage", "coverage 30", "loss of"):
        assert name not in listed


def test_pages_of_campaigns_without_a_calibration_file(results):
    page = calibration_section(replace(results, calibration={}))
    assert page.count("<svg") == 2 and "Measures compared" not in page
    empty = replace(results, metrics=results.metrics.iloc[:0])
    assert "cannot be judged yet" in calibration_section(empty)
