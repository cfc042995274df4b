# Purpose: every function that the rules use. Nothing here opens a table.
# Inputs: `campaign` (campaign.smk), and each finished round's figures.json.
# Outputs: paths of rounds, the leaves that rules hang on.
import json
import pathlib
from functools import cache
from importlib import import_module

from molsieve.acquisition.stopping import verdict
from molsieve.levels import level_id
from molsieve.prediction_shards import candidate_shards_read
from molsieve.property_settings import fidelity_of, objective_level


wildcard_constraints:
    order=r"\d+",
    round=r"\d+",
    shard=r"\d+",
    member=r"\d+",


ROUNDS = pathlib.Path(f"results/{campaign.campaign}/rounds")
domain_config = import_module(f"molsieve.domains.{campaign.domain}.config")
LABELS_MINIMA = getattr(domain_config, "LABELS_MINIMA", False)


def workflow_file(path):
    """A file of the workflow itself, wherever the campaign runs."""
    return str(pathlib.Path(workflow.basedir) / path)


def leaves(*keys):
    """The resolved value at a path of the campaign as plain JSON: what a rule's params hang on."""
    value = campaign.model_dump(mode="json")
    for key in keys:
        value = value[key]
    return value


def without(mapping, *keys):
    """A copy of a section without leaves that do not act on this rule."""
    return {key: value for key, value in mapping.items() if key not in keys}


def stop_leaves():
    """The stop section, less what only a campaign with several goals reads."""
    goals = getattr(campaign.objective, "goals", {})
    return without(leaves("stop"), *(() if len(goals) > 1 else ("missed_hypervolume",)))


def objective_leaves():
    """The objective section, less its goals: a quantity is the same however much of it is wanted."""
    return without(leaves("objective"), "goals")


def objective_of(wildcards):
    """The objective leaves that act on a round's selection: other goals spare the seed."""
    return leaves("objective") if int(wildcards.round) else objective_leaves()


def acquisition_of(wildcards):
    """The acquisition leaves that act on a round's selection: another function spares the seed."""
    section = leaves("acquisition")
    section["geometries"] = {"share": section["geometries"]["share"]}
    later = ("function", "beta", "epsilon", "improvement_margin", "random_share", "diversity")
    if int(wildcards.round):
        return without(section, "seed_labels", "seed_random_share")
    return without(section, "batch_labels", "geometries", *later)


def geometry_leaves():
    """What decides which geometries are found: the sources that are asked, and their settings."""
    section = leaves("acquisition", "geometries")
    asked = campaign.acquisition.geometries.searched
    return without(section, "share", *(name for name in section["mix"] if name not in asked))


def candidate_files():
    """The files that candidates are read from, where they are not enumerated."""
    return domain_config.candidate_files(campaign.candidates)


def candidate_params():
    """What stands for candidate files that are too many for inputs, where a campaign reads such.

    Asked only where the rule's own job is (every job reads these rules), and once: what is recorded
    is what was there before any was read.
    """
    tell = getattr(domain_config, "candidate_state", lambda candidates: None)(campaign.candidates)
    if tell is None:  # no such param at all: a new one would enumerate finished campaigns again
        return {}
    state = cache(tell)
    return {"files": lambda wildcards: state()}


def candidate_elements():
    """Elements that candidates may hold."""
    return domain_config.elements(campaign.candidates)


FIDELITY = fidelity_of(leaves())
OBJECTIVE_LEVEL = objective_level(leaves())
"""Name of the level that objectives are at."""
OBJECTIVE_LABELS = "<results>/rounds/{round}/dataset/" + (
    "labels.parquet" if FIDELITY is None else "fidelity.parquet"
)
"""The labels that tell objectives."""


def level_of(wildcards):
    """Name and identity of the wildcard's level."""
    return level_leaves(wildcards.level)


def level_leaves(name):
    """Name and identity of a level. The identity is of all that changes its numbers, engine version
    included; scripts read the settings from the config, as more SCF cycles are no other level.
    """
    return {"name": name, "level_id": level_id(campaign.level(name))}


def inspecting():
    """True while nothing is executed: a dry run, --dag, --rulegraph, --lint, --list-rules."""
    return workflow.executor_plugin is None or workflow.dryrun


def figures_of(round):
    """A finished round's figures, from their real path."""
    return json.loads((ROUNDS / str(round) / "figures.json").read_text())


def rounds_needed():
    """How many rounds this campaign has, asking the checkpoint only for the first missing figures.

    A dry run of a campaign shows every round up to the limit.
    """
    known = []
    for round in range(campaign.stop.max_rounds):
        if not (ROUNDS / str(round) / "figures.json").exists():
            if inspecting():
                return campaign.stop.max_rounds
            checkpoints.assess_round.get(round=round)
        known.append(figures_of(round))
        if verdict(known, campaign.stop, campaign.acquisition.batch_labels).stop:
            return round + 1
    return campaign.stop.max_rounds


def last_ranking(wildcards):
    return f"<results>/rounds/{rounds_needed() - 1}/ranking.parquet"


def last_report(wildcards):
    return f"<results>/rounds/{rounds_needed() - 1}/report.html"


def of_previous_round(wildcards, pattern):
    """A file of the round before, nothing in round 0."""
    previous = int(wildcards.round) - 1
    return [] if previous < 0 else pattern.format(round=previous)


def of_candidate_shards(wildcards, pattern):
    """A file of each candidate shard that a prediction job reads."""
    shards, candidate_shards = campaign.prediction.shards, campaign.candidates.shards
    read = candidate_shards_read(int(wildcards.shard), shards, candidate_shards)
    return [pattern.format(shard=shard) for shard in read]


def predicted_candidates(wildcards):
    return of_candidate_shards(wildcards, "<results>/candidates/{shard}.parquet")


def predicted_species(wildcards):
    return of_candidate_shards(wildcards, "<results>/structures/{shard}/species.parquet")


def predicted_structures(wildcards):
    return of_candidate_shards(wildcards, "<results>/structures/{shard}/structures.parquet")


def previous_predictions(wildcards):
    return [
        of_previous_round(
            wildcards, f"<results>/rounds/{{round}}/predictions/{shard}/predictions.parquet"
        )
        for shard in range(campaign.prediction.shards)
        if int(wildcards.round)
    ]


def previous_minima(wildcards):
    """The last committee's minima, where they are what is labelled next."""
    if not LABELS_MINIMA:
        return []
    return [
        of_previous_round(
            wildcards, f"<results>/rounds/{{round}}/predictions/{shard}/structures.parquet"
        )
        for shard in range(campaign.prediction.shards)
        if int(wildcards.round)
    ]


def labelled_minima(wildcards):
    """Geometries labelled so far, where not the built ones tell a candidate's value."""
    if not LABELS_MINIMA:
        return []
    return [f"<results>/rounds/{wildcards.round}/dataset/structures.parquet"]


def previously_labelled_minima(wildcards):
    """Those of the round before."""
    if not LABELS_MINIMA or not int(wildcards.round):
        return []
    return [f"<results>/rounds/{int(wildcards.round) - 1}/dataset/structures.parquet"]


def previous_geometries(wildcards):
    """The geometries that the last round's committee was searched for; none without a share."""
    if not campaign.acquisition.geometries.searched:
        return []
    return of_previous_round(wildcards, "<results>/rounds/{round}/geometries.parquet")


def measured_by_geometries(wildcards):
    """What the search for geometries measures of the committee: the dynamics' stability."""
    if "dynamics" not in campaign.acquisition.geometries.searched:
        return []
    return [f"<results>/rounds/{wildcards.round}/geometry_metrics.parquet"]


def previous_labels(wildcards):
    return of_previous_round(wildcards, OBJECTIVE_LABELS)


def previous_member(wildcards):
    """The member to start from, where the campaign warm-starts its rounds."""
    if not campaign.potential.warm_start:
        return []
    return of_previous_round(
        wildcards, f"<results>/rounds/{{round}}/committee/{wildcards.member}/model.pt"
    )


def property_leaves():
    """Settings of the property heads, None of a domain that has none."""
    if not hasattr(campaign, "properties"):
        return None
    return leaves("properties")


def property_members(wildcards):
    """The property heads of a round, where the domain's objectives need them."""
    if property_leaves() is None:
        return []
    members = range(campaign.potential.members)
    folder = f"<results>/rounds/{wildcards.round}/properties"
    return [f"{folder}/{member}/model.pt" for member in members]


def shared_representation(wildcards):
    """The energy member whose atom features a property member shares."""
    if not property_leaves() or property_leaves()["representation"] == "own":
        return []
    return f"<results>/rounds/{wildcards.round}/committee/{wildcards.member}/model.pt"


def previous_property_member(wildcards):
    """The property member to start from, where the campaign warm-starts its rounds."""
    if not campaign.potential.warm_start:
        return []
    return of_previous_round(
        wildcards, f"<results>/rounds/{{round}}/properties/{wildcards.member}/model.pt"
    )


def heads_levels():
    """Names of the levels that the property heads learn from."""
    return list(dict.fromkeys([campaign.labels.level, OBJECTIVE_LEVEL]))


def fidelity_labels(wildcards):
    """Labels of the better level, where one corrects what labels.level teaches."""
    return [] if FIDELITY is None else OBJECTIVE_LABELS


def fidelity_receipts_so_far(wildcards):
    return [
        f"<results>/rounds/{round}/fidelity/{shard}.parquet"
        for round in range(int(wildcards.round) + 1)
        for shard in range(campaign.labels.shards)
    ]


def earlier_rounds(wildcards, pattern):
    return [pattern.format(round=round) for round in range(int(wildcards.round))]


def rounds_so_far(wildcards, pattern):
    return [pattern.format(round=round) for round in range(int(wildcards.round) + 1)]


def earlier_selections(wildcards):
    return earlier_rounds(wildcards, "<results>/rounds/{round}/selection.parquet")


def selections_so_far(wildcards):
    return rounds_so_far(wildcards, "<results>/rounds/{round}/selection.parquet")


def selected_structures_so_far(wildcards):
    return rounds_so_far(wildcards, "<results>/rounds/{round}/structures.parquet")


def receipts_so_far(wildcards):
    return [
        f"<results>/rounds/{round}/receipts/{shard}.parquet"
        for round in range(int(wildcards.round) + 1)
        for shard in range(campaign.labels.shards)
    ]


def figures_so_far(wildcards):
    return rounds_so_far(wildcards, "<results>/rounds/{round}/figures.json")


def metrics_so_far(wildcards):
    return rounds_so_far(wildcards, "<results>/rounds/{round}/metrics.parquet")


def parity_so_far(wildcards):
    return rounds_so_far(wildcards, "<results>/rounds/{round}/evaluation/parity.parquet")


def used_levels():
    """Names of the levels that label: the rounds', a better one of theirs, the confirming one."""
    return list(dict.fromkeys([campaign.labels.level, *hit_levels()]))


def hit_levels():
    """Names of the levels that label hits: the objective's and the confirming one."""
    return list(dict.fromkeys([OBJECTIVE_LEVEL, campaign.ranking.confirm.level]))


def all_receipts(wildcards):
    """Receipts of every label job up to a round: references, rounds, hits."""
    references = [f"<results>/references/{level}/receipt.parquet" for level in used_levels()]
    rounds = [*receipts_so_far(wildcards), *retries_before_dataset(wildcards)]
    return [*references, *rounds, *hit_receipts(wildcards)]


def hit_receipts(wildcards):
    """Hits are labelled at both levels, so that the errors of model, geometry and level part."""
    return [
        f"<results>/rounds/{wildcards.round}/hits/{level}/{shard}.parquet"
        for level in hit_levels()
        for shard in range(campaign.ranking.confirm.shards)
    ]
