#!/usr/bin/env bash
# The tests on real SLURM clusters, and the end of all that they started, whatever happens.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."

# No SLURM_ in its name: jobs lose such variables, and what is left is found by this one.
CLUSTER_TESTS=$(mktemp -d "${TMPDIR:-/tmp}/slurm-tests-XXXXXX")
export CLUSTER_TESTS
end_what_is_left() {
  python tests/slurm/cluster.py down --all "$CLUSTER_TESTS"
  rm -rf "$CLUSTER_TESTS"
}
trap end_what_is_left EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background, as bash runs traps at once only while it waits.
pytest tests/slurm "$@" &
wait $!
