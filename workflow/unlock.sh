#!/usr/bin/env bash
# Remove the lock that a killed snakemake left behind. A living one in this folder keeps its lock.
set -euo pipefail
# The folder itself, whatever links it is reached by.
cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
here=$(pwd -P)
[ -n "$(ls -A .snakemake/locks 2>/dev/null)" ] || exit 0
refuse() {
    echo "$1 Wait for it, or stop it; if there is none any more: snakemake --unlock" >&2
    exit 1
}
owners=$(stat -c %u .snakemake/locks/* | sort -u)
unseen=""
for process in /proc/[0-9]*; do
    tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qE '(^|/)snakemake$' || continue
    user=$(stat -c %u "$process" 2>/dev/null) || continue
    folder=$(readlink "$process/cwd" 2>/dev/null) || folder=""
    found="process ${process#/proc/} of user $(id -nu "$user" 2>/dev/null || echo "$user")"
    [ "$folder" != "$here" ] || refuse "Another snakemake ($found) works in this folder."
    # Where another user's process works cannot be seen; whose lock it is can.
    if [ -z "$folder" ] && grep -qx "$user" <<<"$owners"; then unseen+="${unseen:+, }$found"; fi
done
[ -z "$unseen" ] || refuse "A snakemake of the user who holds the lock may work in this folder ($unseen)."
# Nor can the processes of another machine that shares this folder.
log=$(ls -t .snakemake/log/*.snakemake.log 2>/dev/null | head -n 1) || log=
host=$([ -z "$log" ] || sed -n 's/^ *[Hh]ost: *//p' "$log" | head -n 1)
if [ -n "$host" ] && [ "$host" != "$(uname -n)" ]; then
    refuse "The run that holds the lock began on $host, which cannot be seen from here."
fi
echo "The run before was interrupted; going on where it stopped." >&2
rm -f .snakemake/locks/*
