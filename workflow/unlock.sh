#!/usr/bin/env bash
# Remove the lock that a killed snakemake left behind. A living one in this folder keeps its lock.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -n "$(ls -A .snakemake/locks 2>/dev/null)" ] || exit 0
for process in /proc/[0-9]*; do
    if [ "$(readlink "$process/cwd" 2>/dev/null)" = "$PWD" ] \
        && tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qE '(^|/)snakemake$'; then
        echo "Another snakemake (process ${process#/proc/}) works in this folder; wait for it, or stop it." >&2
        exit 1
    fi
done
echo "The run before was interrupted; going on where it stopped." >&2
rm -f .snakemake/locks/*
