"""What jobs of a real campaign ask for through the cluster's profile, before there is a cluster."""

import json
import re

from .conftest import REPOSITORY


def resources_by_rule(space):
    """The resources line of each rule's first job in a dry run with the SLURM profile."""
    profile = str(REPOSITORY / "profiles" / "slurm")
    printed = space.run("--dry-run", "--workflow-profile", profile).stdout
    found = {}
    for rule, body in re.findall(r"^(?:rule|checkpoint) (\w+):\n((?: .*\n)+)", printed, re.M):
        fields = re.search(r"resources: (.*)", body)
        found.setdefault(rule, dict(f.split("=") for f in fields.group(1).split(", ")))
    return found


def test_every_job_asks_for_time_and_memory_and_gpus_only_where_they_are_used(fresh):
    fresh.edit(potential={"device": "gpu"})
    found = resources_by_rule(fresh)
    del found["all"]
    assert len(found) == 17
    assert all(int(r["mem_mb"]) >= 800 and int(r["runtime"]) >= 10 for r in found.values())
    on_gpus = {rule for rule, r in found.items() if int(r.get("gpu", 0))}
    assert on_gpus == {
        "train_member",
        "evaluate_committee",
        "predict_candidates",
        "propose_geometries",
    }


def test_a_label_job_asks_for_what_was_forecast_and_longer_than_one_calculation(fresh):
    fresh.edit(run={"calculation_time_limit_s": 1200})
    assert 20 < int(resources_by_rule(fresh)["label_batch"]["runtime"]) < 60
    forecast = fresh.results / "rounds" / "0" / "forecast.json"
    forecast.parent.mkdir(parents=True)
    work = {"count": 40, "core_s": 40_000.0, "longest_s": 9000.0}
    forecast.write_text(json.dumps({"gfn2": work}))
    asked = resources_by_rule(fresh)["label_batch"]
    assert int(asked["runtime"]) > 2 * 40_000 / 2 / 2 / 60
    assert int(asked["mem_mb"]) == 900 + 2 * 500  # two cores, as the dry run has
