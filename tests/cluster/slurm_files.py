"""What Slurm reads: slurm.conf and its neighbours, for two nodes on one machine."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

NODES = 2
GPUS_PER_NODE = 2
MEMORY_MB = 8000  # what each node claims; jobs of the tests use far less

SACCT = Path(__file__).parents[2] / "profiles/slurm/without-accounting/sacct"

# Both nodes are this machine, so that together they claim twice its cores: `config_overrides` has slurmd take the
# numbers written here. No memory limit is enforced (task/none) and nothing is accounted, which needs a database.
# MinJobAge keeps ended jobs in squeue. A job that is queued again waits as long as a credential may live.
CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire={requeue_delay}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
MailProg=/bin/true
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerNode=200
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout={node_timeout}
KillWait=10
UnkillableStepTimeout=30
MinJobAge=3600
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=UNLIMITED DefaultTime=5 PriorityTier=10 PreemptMode=OFF
PartitionName=gpu Nodes=ALL MaxTime=UNLIMITED DefaultTime=5 PriorityTier=10 PreemptMode=OFF
PartitionName=scavenge Nodes={last} MaxTime=UNLIMITED DefaultTime=5 PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
PartitionName=urgent Nodes={last} MaxTime=UNLIMITED DefaultTime=5 PriorityTier=100 PreemptMode=OFF
"""


def write_files(folder: Path, **settings: int | str) -> tuple[str, ...]:
    """Write slurm.conf, gres.conf, cgroup.conf, a key for munge, a wrapper of srun, and the daemons' folders.

    `settings`: what `CONFIGURATION` leaves open. Returns the nodes' names, of which no other Slurm on this machine
    has one, as cgroups are named by node.
    """
    for name in ("munge", "state", "jobs", "bin"):
        (folder / name).mkdir(mode=0o755)
    (folder / "munge/key").write_bytes(os.urandom(128))
    (folder / "munge/key").chmod(0o600)
    # The executor plugin's job step takes SLURM_CONF from the environment, as if all clusters had /etc/slurm.
    srun = f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
    (folder / "bin/srun").write_text(srun, encoding="utf-8")
    (folder / "bin/srun").chmod(0o755)
    (folder / "bin/sacct").symlink_to(SACCT)
    cores = max(2, os.cpu_count() or 1)  # two, for a test of a job that needs two
    host = socket.gethostname().partition(".")[0]
    controller_port, *ports = free_ports(1 + NODES)
    names = tuple(f"n{port}" for port in ports)
    gpus = [_gpus(folder, name) for name in names]
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} "
        f"RealMemory={MEMORY_MB} Gres=gpu:{GPUS_PER_NODE}"
        for name, port in zip(names, ports, strict=True)
    ]
    text = CONFIGURATION.format(
        folder=folder,
        host=host,
        controller_port=controller_port,
        nodes="\n".join(nodes),
        last=names[-1],
        **settings,
    )
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    (folder / "gres.conf").write_text("".join(gpus), encoding="utf-8")
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n", encoding="utf-8")
    return names


def _gpus(folder: Path, node: str) -> str:
    """A node's line of gres.conf, with a folder of devices; the digit at the end is the GPU's number."""
    (folder / node).mkdir()
    for number in range(GPUS_PER_NODE):
        (folder / node / f"gpu{number}").symlink_to("/dev/null")
    return f"NodeName={node} Name=gpu File={folder / node}/gpu[0-{GPUS_PER_NODE - 1}] AutoDetect=off\n"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
