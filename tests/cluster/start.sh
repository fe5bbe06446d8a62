#!/usr/bin/env bash
# Start a SLURM cluster of two nodes on the loopback interface of this machine: cpu1 in partition cpu, gpu1
# in partition gpu with four pretended GPUs, both in partition both. Root, Linux and Debian's packages are needed.
#
#   start.sh FOLDER     installs what is missing, starts the daemons, waits until both nodes are idle
#   stop.sh FOLDER      ends what this script started, and nothing else
#
# CLUSTER_CPUS and CLUSTER_MEMORY_MB: what each node offers; may be more than the machine has.
# Beyond FOLDER it touches the packages, and the link /etc/slurm/slurm.conf: the Snakemake plugin takes
# SLURM_CONF out of the environment of its inner srun, which then would look for a configuration by DNS.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
unset SLURM_CONF

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/cluster/processes.sh
. "$HERE/processes.sh"
CPUS=${CLUSTER_CPUS:-8}
MEMORY_MB=${CLUSTER_MEMORY_MB:-64000}
PACKAGES=(munge slurmctld slurmd slurm-client)
WORK=${1:?usage: start.sh FOLDER}
BEGUN=

say() { printf 'cluster: %s\n' "$*" >&2; }

fail() {
    say "$*"
    local file
    for file in "$WORK"/log/*; do
        [[ -s $file ]] || continue
        printf -- '--- end of %s\n' "$file" >&2
        tail -n 8 "$file" >&2
    done
    [[ -z $BEGUN ]] || "$HERE/stop.sh" "$WORK" || true
    exit 1
}

wait_for() { # wait_for SECONDS NAME COMMAND...: until it succeeds, or daemon NAME is gone
    local end=$((SECONDS + $1)) name=$2
    shift 2
    while ((SECONDS <= end)); do
        "$@" >/dev/null 2>&1 && return 0
        alive "$name" || fail "$name ended by itself"
        sleep 0.1
    done
    fail "$name is not ready in time"
}

launch() { # launch NAME COMMAND...: in a session of its own
    local name=$1
    shift
    BEGUN=1
    setsid "$@" >>"$WORK/log/$name.out" 2>&1 </dev/null &
    printf '%s %s\n' $! "$(started $!)" >"$WORK/run/$name.process"
}

# The daemons listen on the address that this machine's name leads to, and nothing may be open to a network.
own_address() {
    local found
    found=$(getent ahostsv4 "$(hostname)" | awk 'NR == 1 {print $1}') || true
    [[ $found == 127.* ]] || fail "the name $(hostname) must lead to 127.x.x.x (/etc/hosts), not to '$found'"
    printf '%s' "$found"
}

free_ports() { # free_ports N
    local wanted=$1 port=26817
    while ((wanted > 0)); do
        if ! (exec 3<>"/dev/tcp/$ADDRESS/$port") 2>/dev/null; then
            printf '%s ' "$port"
            wanted=$((wanted - 1))
        fi
        port=$((port + 1))
    done
}

install_packages() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    # Not the packages' own daemons: they are started here, with a configuration of ours.
    local policy=/usr/sbin/policy-rc.d own= status=0
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        own=1
    fi
    local apt=(apt-get -o "DPkg::Lock::Timeout=300" -y --no-install-recommends)
    {
        "${apt[@]}" update
        # What to remove again: these and what they bring along.
        "${apt[@]}" --simulate install "${missing[@]}" | awk '/^Inst/ {print $2}' >"$WORK/installed"
        DEBIAN_FRONTEND=noninteractive "${apt[@]}" install "${missing[@]}"
    } >"$WORK/log/apt" 2>&1 </dev/null || status=$?
    [[ -z $own ]] || rm -f "$policy"
    # Addresses of package mirrors are nobody's business.
    sed -i -E 's#[a-z]+://[^ /]+#[mirror]#g' "$WORK/log/apt"
    ((status == 0)) || fail "apt-get failed"
}

write_configuration() {
    local controller=$1 cpu=$2 gpu=$3 host number
    host=$(hostname -s 2>/dev/null || hostname)
    cat >"$WORK/slurm.conf" <<CONF
$MARK
ClusterName=test
SlurmctldHost=$host($ADDRESS)
SlurmctldPort=$controller
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$WORK/run/munge.sock
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$WORK/state
SlurmdSpoolDir=$WORK/spool-%n
SlurmctldPidFile=$WORK/run/slurmctld.pid
SlurmdPidFile=$WORK/run/slurmd-%n.pid
SlurmctldLogFile=$WORK/log/slurmctld.log
SlurmdLogFile=$WORK/log/slurmd-%n.log
MailProg=/bin/true
# Without cgroups: processes are found through /proc, memory is looked at every second.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5,requeue_setup_env_fail
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
# Ended jobs are kept this long for squeue and scontrol, which here are the only records.
MinJobAge=3600
# What no node could ever meet is refused, and does not wait for ever.
EnforcePartLimits=ALL
DefMemPerCPU=1000
GresTypes=gpu
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
NodeName=cpu1 NodeHostname=$host NodeAddr=$ADDRESS Port=$cpu CPUs=$CPUS RealMemory=$MEMORY_MB State=UNKNOWN
NodeName=gpu1 NodeHostname=$host NodeAddr=$ADDRESS Port=$gpu CPUs=$CPUS RealMemory=$MEMORY_MB Gres=gpu:4 State=UNKNOWN
PartitionName=cpu Nodes=cpu1 Default=YES DefaultTime=60 MaxTime=1-00:00:00 State=UP
PartitionName=gpu Nodes=gpu1 DefaultTime=60 MaxTime=2-00:00:00 State=UP
PartitionName=both Nodes=cpu1,gpu1 DefaultTime=60 MaxTime=1-00:00:00 State=UP
CONF
    # Only for device files does SLURM set CUDA_VISIBLE_DEVICES; these are twins of /dev/null.
    mkdir -p "$WORK/dev"
    for number in 0 1 2 3; do
        [[ -e $WORK/dev/gpu$number ]] || mknod "$WORK/dev/gpu$number" c 1 3 || fail "mknod is not allowed here"
        printf 'NodeName=gpu1 Name=gpu File=%s\n' "$WORK/dev/gpu$number"
    done >"$WORK/gres.conf"
    echo 'CgroupAutomount=no' >"$WORK/cgroup.conf"
}

nodes_idle() { [[ $(timeout 5 sinfo -h -N -p both -o '%t' | grep -c '^idle$') -eq 2 ]]; }

[[ $(id -u) -eq 0 ]] || { say "root is needed"; exit 1; }
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd -P)
# SLURM takes other characters in a path apart, and the name of a socket cannot be long.
[[ $WORK =~ ^[A-Za-z0-9_./-]+$ && ${#WORK} -le 80 ]] || { say "unusable folder name: $WORK"; exit 1; }
if [[ -e $SYSTEM_CONF || -L $SYSTEM_CONF ]]; then
    [[ -L $SYSTEM_CONF && ! -e $SYSTEM_CONF ]] || { say "this machine has a $SYSTEM_CONF; left alone"; exit 1; }
fi
chmod 755 "$WORK"
mkdir -p "$WORK"/{run,log,state,spool-cpu1,spool-gpu1} /etc/slurm
chmod 700 "$WORK/state"
ADDRESS=$(own_address)
read -r -a ports <<<"$(free_ports 3)"
write_configuration "${ports[@]}"
# Before the packages: the Snakemake plugin asks scontrol as soon as it is there.
ln -sfn "$WORK/slurm.conf" "$SYSTEM_CONF"
BEGUN=1
install_packages
(umask 077 && head -c 1024 /dev/urandom >"$WORK/munge.key")

# --force: the parents of FOLDER need not be as closed as munged likes them.
launch munged munged --foreground --force "--socket=$WORK/run/munge.sock" "--key-file=$WORK/munge.key" \
    "--pid-file=$WORK/run/munged.pid" "--log-file=$WORK/log/munged.log" "--seed-file=$WORK/run/munge.seed"
wait_for 10 munged timeout 5 bash -c "munge -S '$WORK/run/munge.sock' -n | unmunge -S '$WORK/run/munge.sock'"
launch slurmctld slurmctld -D -f "$WORK/slurm.conf"
wait_for 20 slurmctld timeout 5 bash -c 'scontrol ping | grep -q "is UP"'
for node in cpu1 gpu1; do launch "$node" slurmd -D -f "$WORK/slurm.conf" -N "$node"; done
wait_for 30 slurmctld nodes_idle
say "up in $WORK after $SECONDS s"
