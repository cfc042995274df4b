# Purpose: the committee of interatomic potentials of a round, and what its word is worth.
# Inputs: <results>/rounds/{round}/dataset/*.parquet, <results>/references/{level}/calibration.json
# Outputs: <results>/rounds/{round}/{committee,properties}/{member}/model.*,
#   <results>/rounds/{round}/evaluation/*


rule train_member:
    """Train one member; it resumes from its own checkpoint after an interruption."""
    input:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        structures="<results>/rounds/{round}/dataset/structures.parquet",
        labels="<results>/rounds/{round}/dataset/labels.parquet",
        calibration=f"<results>/references/{campaign.labels.level}/calibration.json",
        previous=previous_member,
    output:
        weights="<results>/rounds/{round}/committee/{member}/model.pt",
        hyperparameters="<results>/rounds/{round}/committee/{member}/model.json",
    log:
        "<logs>/train_member/{round}_{member}.log",
    conda:
        "../../envs/ml.yaml"
    threads: 1
    resources:
        mem_mb=training_memory,
        runtime=training_runtime,
        gpu=committee_gpus,
    params:
        level=level_leaves(campaign.labels.level),
        potential=without(leaves("potential"), "members"),
        seed=campaign.seed,
    script:
        "../../scripts/train_member.py"


rule train_property_member:
    """Train one member's heads for excited-state properties, where a domain's objectives need them."""
    input:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        structures="<results>/rounds/{round}/dataset/structures.parquet",
        labels="<results>/rounds/{round}/dataset/labels.parquet",
        fidelity=fidelity_labels,
        representation=shared_representation,
        previous=previous_property_member,
    output:
        weights="<results>/rounds/{round}/properties/{member}/model.pt",
        hyperparameters="<results>/rounds/{round}/properties/{member}/model.json",
    log:
        "<logs>/train_property_member/{round}_{member}.log",
    conda:
        "../../envs/ml.yaml"
    threads: 1
    resources:
        mem_mb=training_memory,
        runtime=training_runtime,
        gpu=committee_gpus,
    params:
        domain=campaign.domain,
        levels=[level_leaves(level) for level in heads_levels()],
        potential=without(leaves("potential"), "members"),
        properties=property_leaves(),
        seed=campaign.seed,
    script:
        "../../scripts/train_property_member.py"


rule evaluate_committee:
    """Errors and calibration of the committee on data it has not seen."""
    input:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        structures="<results>/rounds/{round}/dataset/structures.parquet",
        labels="<results>/rounds/{round}/dataset/labels.parquet",
        members=expand(
            "<results>/rounds/{{round}}/committee/{member}/model.pt",
            member=range(campaign.potential.members),
        ),
        fidelity=fidelity_labels,
        calibration=f"<results>/references/{OBJECTIVE_LEVEL}/calibration.json",
        built=expand(
            "<results>/structures/{shard}/structures.parquet",
            shard=range(campaign.candidates.shards),
        ),
        properties=property_members,
    output:
        metrics="<results>/rounds/{round}/evaluation/metrics.parquet",
        calibration="<results>/rounds/{round}/evaluation/calibration.json",
        parity="<results>/rounds/{round}/evaluation/parity.parquet",
    log:
        "<logs>/evaluate_committee/{round}.log",
    conda:
        "../../envs/ml.yaml"
    threads: evaluation_cores
    resources:
        mem_mb=evaluation_memory,
        runtime=evaluation_runtime,
        gpu=committee_gpus,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        prediction=without(leaves("prediction"), "shards"),
        objective=objective_leaves(),
        device=campaign.potential.device,
        seed=campaign.seed,
    script:
        "../../scripts/evaluate_committee.py"


rule predict_candidates:
    """Relax one shard of the candidates with the committee and predict their objective."""
    input:
        candidates=predicted_candidates,
        species=predicted_species,
        structures=predicted_structures,
        members=expand(
            "<results>/rounds/{{round}}/committee/{member}/model.pt",
            member=range(campaign.potential.members),
        ),
        properties=property_members,
        evaluation="<results>/rounds/{round}/evaluation/calibration.json",
        calibration=f"<results>/references/{OBJECTIVE_LEVEL}/calibration.json",
    output:
        predictions="<results>/rounds/{round}/predictions/{shard}/predictions.parquet",
        structures="<results>/rounds/{round}/predictions/{shard}/structures.parquet",
    log:
        "<logs>/predict_candidates/{round}_{shard}.log",
    conda:
        "../../envs/ml.yaml"
    threads: prediction_cores
    resources:
        mem_mb=prediction_memory,
        runtime=prediction_runtime,
        gpu=committee_gpus,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        prediction=leaves("prediction"),
        candidate_shards=campaign.candidates.shards,
        objective=objective_leaves(),
        device=campaign.potential.device,
    script:
        "../../scripts/predict_candidates.py"
