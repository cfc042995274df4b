# Purpose: the answer, confirmed at the high level.
# Inputs: a round's predictions, the labels so far
# Outputs: <results>/rounds/{round}/hits/*, <results>/rounds/{round}/ranking.parquet


rule select_hits:
    """The top candidates and random controls, in the geometries that tell the errors apart."""
    input:
        candidates=expand(
            "<results>/candidates/{shard}.parquet", shard=range(campaign.candidates.shards)
        ),
        structures=expand(
            "<results>/structures/{shard}/structures.parquet",
            shard=range(campaign.candidates.shards),
        ),
        predictions=expand(
            "<results>/rounds/{{round}}/predictions/{shard}/predictions.parquet",
            shard=range(campaign.prediction.shards),
        ),
        minima=expand(
            "<results>/rounds/{{round}}/predictions/{shard}/structures.parquet",
            shard=range(campaign.prediction.shards),
        ),
        labels=OBJECTIVE_LABELS,
        labelled=labelled_minima,
        calibration=f"<results>/references/{OBJECTIVE_LEVEL}/calibration.json",
    output:
        selection="<results>/rounds/{round}/hits/selection.parquet",
        structures="<results>/rounds/{round}/hits/structures.parquet",
    log:
        "<logs>/select_hits/{round}.log",
    retries: QUICK_RETRIES
    localrule: QUICK
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=hits_memory,
        runtime=space_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        objective=leaves("objective"),
        confirm=without(leaves("ranking", "confirm"), "shards"),
        seed=campaign.seed,
    script:
        "../../scripts/select_hits.py"


rule confirm_hits:
    """Label one shard of the hits at a level, in a worker pool."""
    input:
        selection="<results>/rounds/{round}/hits/selection.parquet",
        structures="<results>/rounds/{round}/hits/structures.parquet",
        retries=retries_of_hits,
    output:
        receipt="<results>/rounds/{round}/hits/{level}/{shard}.parquet",
    log:
        "<logs>/confirm_hits/{round}_{level}_{shard}.log",
    conda:
        "../../envs/dft.yaml"
    threads: label_cores
    resources:
        mem_mb=label_memory,
        runtime=label_runtime,
        gpu=label_gpus,
    params:
        campaign=campaign.campaign,
        level=level_of,
        labels_level=OBJECTIVE_LEVEL,
        shards=campaign.ranking.confirm.shards,
    script:
        "../../scripts/confirm_hits.py"


rule rank_candidates:
    """Every candidate in order, with what is known and what is only predicted."""
    input:
        candidates=expand(
            "<results>/candidates/{shard}.parquet", shard=range(campaign.candidates.shards)
        ),
        predictions=expand(
            "<results>/rounds/{{round}}/predictions/{shard}/predictions.parquet",
            shard=range(campaign.prediction.shards),
        ),
        labels=OBJECTIVE_LABELS,
        labelled=labelled_minima,
        calibrations=expand(
            "<results>/references/{level}/calibration.json",
            level=[OBJECTIVE_LEVEL, campaign.ranking.confirm.level],
        ),
        built=expand(
            "<results>/structures/{shard}/structures.parquet",
            shard=range(campaign.candidates.shards),
        ),
        minima=expand(
            "<results>/rounds/{{round}}/predictions/{shard}/structures.parquet",
            shard=range(campaign.prediction.shards),
        ),
        selections=selections_so_far,
        selection="<results>/rounds/{round}/hits/selection.parquet",
        evaluation="<results>/rounds/{round}/evaluation/calibration.json",
        receipts=hit_receipts,
        figures=figures_so_far,
    output:
        ranking="<results>/rounds/{round}/ranking.parquet",
    log:
        "<logs>/rank_candidates/{round}.log",
    retries: QUICK_RETRIES
    localrule: QUICK
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=ranking_memory,
        runtime=space_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        labels_level=level_leaves(OBJECTIVE_LEVEL),
        confirm_level=level_leaves(campaign.ranking.confirm.level),
        objective=leaves("objective"),
        ranking=leaves("ranking"),
    script:
        "../../scripts/rank_candidates.py"
