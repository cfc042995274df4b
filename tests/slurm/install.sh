#!/usr/bin/env bash
# SLURM and munge from Debian, where they are missing. Their own services need not run: the tests
# start a private cluster and touch nothing of the machine's.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
missing=()
command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null ||
  missing+=(slurm-wlm)
command -v munged >/dev/null || missing+=(munge)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "make slurm-test needs SLURM: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
# A package must not start its service here: not on a user's machine, and in a container it cannot.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
