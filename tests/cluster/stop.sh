#!/usr/bin/env bash
# End the cluster that start.sh started in FOLDER: its jobs, then exactly its daemons. Safe to run twice.
#
#   stop.sh FOLDER              leaves the packages, for the next start
#   stop.sh --purge FOLDER      removes the packages that start.sh installed, and FOLDER
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/cluster/processes.sh
. "$HERE/processes.sh"
PURGE=
if [[ ${1:-} == --purge ]]; then
    PURGE=1
    shift
fi
WORK=${1:?usage: stop.sh [--purge] FOLDER}
[[ -d $WORK ]] || exit 0
WORK=$(cd "$WORK" && pwd -P)
is_ours "$WORK/slurm.conf" || { echo "cluster: $WORK holds no cluster of start.sh" >&2; exit 1; }
export SLURM_CONF=$WORK/slurm.conf

end() { # end PID START
    local i
    is_process "$1" "$2" || return 0
    kill -TERM "$1" 2>/dev/null || true
    for ((i = 0; i < 150; i++)); do
        is_process "$1" "$2" || return 0
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
}

descendants() {
    local child
    # shellcheck disable=SC2013
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
        printf '%s\n' "$child"
        descendants "$child"
    done
}

# A slurmstepd outlives slurmd by design. One is ours if its program is slurmstepd and it holds a file in FOLDER.
end_stray_steps() {
    local exe pid file one
    for exe in /proc/[0-9]*/exe; do
        pid=${exe#/proc/}
        pid=${pid%/exe}
        [[ $(readlink "$exe" 2>/dev/null) == */slurmstepd* ]] || continue
        for file in "/proc/$pid/fd"/*; do
            [[ $(readlink "$file" 2>/dev/null) == "$WORK"/* ]] || continue
            for one in $(descendants "$pid") "$pid"; do kill -KILL "$one" 2>/dev/null || true; done
            break
        done
    done
}

if alive slurmctld; then
    # With a limit each: a controller that hangs must not hold this up.
    jobs=$(timeout 10 squeue -h -o %A 2>/dev/null | sort -u) || jobs=
    if [[ -n $jobs ]]; then
        # shellcheck disable=SC2086
        timeout 20 scancel $jobs || true
        for ((i = 0; i < 100; i++)); do
            [[ -n $(timeout 10 squeue -h -o %A 2>/dev/null) ]] || break
            sleep 0.1
        done
    fi
fi
for ((i = ${#DAEMONS[@]} - 1; i >= 0; i--)); do
    file=$WORK/run/${DAEMONS[i]}.process
    [[ -s $file ]] || continue
    read -r pid start <"$file"
    end "$pid" "$start"
    rm -f "$file"
done
end_stray_steps

purge_packages() {
    local packages
    mapfile -t packages <"$WORK/installed"
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 purge -y "${packages[@]}" \
        >/dev/null 2>&1 </dev/null || echo "cluster: could not remove ${packages[*]}" >&2
}

# The packages first: they may not stand there without a configuration.
if [[ -n $PURGE && -s $WORK/installed ]]; then purge_packages; fi
if [[ -L $SYSTEM_CONF && $(readlink "$SYSTEM_CONF") == "$WORK/slurm.conf" ]]; then
    rm -f "$SYSTEM_CONF"
    rmdir --ignore-fail-on-non-empty "$(dirname "$SYSTEM_CONF")"
fi
[[ -z $PURGE ]] || rm -rf -- "$WORK"
