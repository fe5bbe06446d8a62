# shellcheck shell=bash
# A process is known by its number and its start time: a number alone may belong to another one by now.
# A file <name>.process holds both. Sourced by start.sh and stop.sh.

MARK='# written by tests/cluster/start.sh'
SYSTEM_CONF=/etc/slurm/slurm.conf
DAEMONS=(munged slurmctld cpu1 gpu1)

started() { # started PID: field 22 of /proc/PID/stat, counted after the command's name; fails for a zombie
    local line
    { line=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    line=${line##*) }
    # shellcheck disable=SC2086
    set -- $line
    [[ $1 != Z ]] && printf '%s' "${20}"
}

is_process() { [[ -n ${2:-} && $(started "$1") == "$2" ]]; } # is_process PID START

alive() { # alive NAME
    local pid start
    [[ -s $WORK/run/$1.process ]] && read -r pid start <"$WORK/run/$1.process" && is_process "$pid" "$start"
}

is_ours() { head -n 1 "$1" 2>/dev/null | grep -qF "$MARK"; } # is_ours CONF
