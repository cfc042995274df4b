# Purpose: quantum chemistry. A label job packs many calculations; its output is only a receipt,
#   the labels themselves are in the label store, journaled one by one.
# Inputs: <results>/rounds/{round}/{selection,structures}.parquet, <results>/references/*.parquet,
#   <results>/retries/{order}/* of `molsieve retry`
# Outputs: receipts, <results>/rounds/{round}/dataset/*.parquet, <results>/references/{level}/*
#   (of a better level: <results>/rounds/{round}/{fidelity/*,dataset/fidelity.parquet})


rule label_references:
    """Label the measured systems at a level."""
    input:
        structures="<results>/references/structures.parquet",
        retries=retries_of_references,
    output:
        receipt="<results>/references/{level}/receipt.parquet",
    log:
        "<logs>/label_references/{level}.log",
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
        atoms_level=campaign.labels.level,
    script:
        "../../scripts/label_references.py"


rule calibrate_level:
    """Fit a level to the measured systems, with its leave-one-out error."""
    input:
        species="<results>/references/species.parquet",
        structures="<results>/references/structures.parquet",
        receipt="<results>/references/{level}/receipt.parquet",
    output:
        references="<results>/references/{level}/references.parquet",
        calibration="<results>/references/{level}/calibration.json",
    log:
        "<logs>/calibrate_level/{level}.log",
    retries: 0
    localrule: True
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        level=level_of,
        objective=objective_leaves(),
    script:
        "../../scripts/calibrate_level.py"


rule label_batch:
    """Label one shard of a round's structures in a worker pool."""
    input:
        structures="<results>/rounds/{round}/structures.parquet",
    output:
        receipt="<results>/rounds/{round}/receipts/{shard}.parquet",
    log:
        "<logs>/label_batch/{round}_{shard}.log",
    conda:
        "../../envs/dft.yaml"
    threads: label_cores
    resources:
        mem_mb=label_memory,
        runtime=label_runtime,
        gpu=label_gpus,
    params:
        campaign=campaign.campaign,
        level=level_leaves(campaign.labels.level),
        shards=campaign.labels.shards,
    script:
        "../../scripts/label_batch.py"


rule retry_labels:
    """Repeat failed calculations as ordered by `molsieve retry`, in a worker pool."""
    input:
        order="<results>/retries/{order}/order.json",
        structures="<results>/retries/{order}/structures.parquet",
    output:
        receipt="<results>/retries/{order}/receipts/{shard}.parquet",
    log:
        "<logs>/retry_labels/{order}_{shard}.log",
    conda:
        "../../envs/dft.yaml"
    threads: label_cores
    resources:
        mem_mb=label_memory,
        runtime=label_runtime,
        gpu=label_gpus,
    params:
        campaign=campaign.campaign,
    script:
        "../../scripts/retry_labels.py"


rule collect_labels:
    """Freeze the dataset that trains, calibrates and tests this round."""
    input:
        selections=selections_so_far,
        structures=selected_structures_so_far,
        receipts=receipts_so_far,
        retries=retries_before_dataset,
    output:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        structures="<results>/rounds/{round}/dataset/structures.parquet",
        labels="<results>/rounds/{round}/dataset/labels.parquet",
    log:
        "<logs>/collect_labels/{round}.log",
    retries: QUICK_RETRIES
    localrule: QUICK
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=collecting_memory,
        runtime=collecting_runtime,
    params:
        campaign=campaign.campaign,
        level=level_leaves(campaign.labels.level),
        validation_share=campaign.potential.validation_share,
        seed=campaign.seed,
    script:
        "../../scripts/collect_labels.py"


rule label_fidelity:
    """Label a share of a round's structures at the better level, too, in a worker pool."""
    input:
        selection="<results>/rounds/{round}/selection.parquet",
        structures="<results>/rounds/{round}/structures.parquet",
    output:
        receipt="<results>/rounds/{round}/fidelity/{shard}.parquet",
    log:
        "<logs>/label_fidelity/{round}_{shard}.log",
    conda:
        "../../envs/dft.yaml"
    threads: fidelity_cores
    resources:
        mem_mb=fidelity_memory,
        runtime=fidelity_runtime,
        gpu=fidelity_gpus,
    params:
        campaign=campaign.campaign,
        level=level_leaves(OBJECTIVE_LEVEL),
        share=(FIDELITY or {}).get("share"),
        shards=campaign.labels.shards,
        seed=campaign.seed,
    script:
        "../../scripts/label_fidelity.py"


rule collect_fidelity:
    """The better level's labels of a round's dataset, frozen."""
    input:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        receipts=fidelity_receipts_so_far,
    output:
        labels="<results>/rounds/{round}/dataset/fidelity.parquet",
    log:
        "<logs>/collect_fidelity/{round}.log",
    retries: QUICK_RETRIES
    localrule: QUICK
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=fidelity_collecting_memory,
        runtime=fidelity_collecting_runtime,
    params:
        campaign=campaign.campaign,
        level=level_leaves(OBJECTIVE_LEVEL),
    script:
        "../../scripts/collect_fidelity.py"
