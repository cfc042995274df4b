#!/usr/bin/env bash
# A conda file cannot say --no-deps, and schnetpack's own pins would drag torch back to 2.4.
set -euo pipefail
pip install --no-deps schnetpack==2.1.1
