# Purpose: what a person looks at.
# Inputs: everything above
# Outputs: <results>/rounds/{round}/report.html, one page that works offline


rule build_report:
    """One offline page: the answer, how sure it is, and how it was found."""
    input:
        candidates=expand(
            "<results>/candidates/{shard}.parquet", shard=range(campaign.candidates.shards)
        ),
        species=expand(
            "<results>/structures/{shard}/species.parquet", shard=range(campaign.candidates.shards)
        ),
        predictions=expand(
            "<results>/rounds/{{round}}/predictions/{shard}/predictions.parquet",
            shard=range(campaign.prediction.shards),
        ),
        selections=selections_so_far,
        receipts=all_receipts,
        metrics=metrics_so_far,
        parity=parity_so_far,
        figures=figures_so_far,
        references=expand(
            "<results>/references/{level}/references.parquet",
            level=used_levels(),
        ),
        calibrations=expand(
            "<results>/references/{level}/calibration.json",
            level=used_levels(),
        ),
        evaluation="<results>/rounds/{round}/evaluation/calibration.json",
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        ranking="<results>/rounds/{round}/ranking.parquet",
        template=workflow_file("workflow/report/page.html"),
        style=workflow_file("workflow/report/page.css"),
        behaviour=workflow_file("workflow/report/page.js"),
    output:
        page="<results>/rounds/{round}/report.html",
    log:
        "<logs>/build_report/{round}.log",
    retries: QUICK_RETRIES
    localrule: QUICK
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=report_memory,
        runtime=space_runtime,
    params:
        campaign=campaign.campaign,
        stop=stop_leaves(),
        levels=list(used_levels()),
        batch_labels=campaign.acquisition.batch_labels,
    script:
        "../../scripts/build_report.py"
