# Purpose: the candidate space, filtered, unique and sharded.
# Inputs: the campaign file (and the user's candidate files, if it names any).
# Outputs: <results>/candidates/{shard}.parquet


rule enumerate_candidates:
    """Enumerate or read the candidates; what is refused stays in the table with its reason."""
    input:
        candidate_files(),
    output:
        candidates=expand(
            "<results>/candidates/{shard}.parquet", shard=range(campaign.candidates.shards)
        ),
    log:
        "<logs>/enumerate_candidates.log",
    conda:
        "../../envs/chem.yaml"
    threads: screening_cores
    resources:
        mem_mb=screening_memory,
        runtime=screening_runtime,
    params:
        **candidate_params(),
        campaign=campaign.campaign,
        domain=campaign.domain,
        candidates=leaves("candidates"),
    script:
        "../../scripts/enumerate_candidates.py"
