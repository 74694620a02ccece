"""Runs a script written for tally.torch over plain torch.distributed instead: allreduce by Gloo, over TCP.

    python3 gloo.py SCRIPT

The script is not changed: what it uses of tally.torch is made here of torch.distributed. A step puts all gradients
into one flat tensor, all_reduce adds it up over the ranks, and every rank divides by their number. RANK and WORLD_SIZE
say who this is; MEET names a file that appears when the ranks can reach each other, with the address of rank 0 in it.
"""

import datetime
import json
import os
import runpy
import socket
import sys
import time
import types

import tally
import torch
import torch.distributed as dist
from tally.torch import parameter_hash

PORT = 29400
PATIENCE = 60  # seconds, until the network is there


def meet():
    """The address of rank 0, and the name of the network interface towards it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
        if interfaces and os.path.exists(os.environ["MEET"]):
            with open(os.environ["MEET"], encoding="ascii") as f:
                return f.read().strip(), interfaces[0]
        time.sleep(0.01)
    raise SystemExit("no network after %d s" % PATIENCE)


def init():
    address, interface = meet()
    os.environ["GLOO_SOCKET_IFNAME"] = interface
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.TCPStore(address, PORT, size, rank == 0, datetime.timedelta(seconds=PATIENCE))
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    about = {"torch": torch.__version__, "backend": dist.get_backend(), "ranks": dist.get_world_size()}
    with open(os.path.join(os.environ["OUTPUT_DIR"], "gloo.json"), "w", encoding="ascii") as f:
        json.dump(about, f)


def broadcast_parameters(state, root_rank=0):
    for _, tensor in sorted(state.items()):
        dist.broadcast(tensor, root_rank)


def distributed_optimizer(optimizer, named_parameters=None):
    params = [p for group in optimizer.param_groups for p in group["params"]]
    sizes, size, own = [p.numel() for p in params], dist.get_world_size(), optimizer.step

    def step():
        flat = torch.cat([p.grad.reshape(-1) for p in params])
        dist.all_reduce(flat)
        flat.div_(size)
        for p, part in zip(params, flat.split(sizes)):
            p.grad.copy_(part.view_as(p))
        own()

    optimizer.step = step
    return optimizer


def main():
    gloo = types.ModuleType("tally.torch")
    gloo.init, gloo.shutdown, gloo.barrier = init, dist.destroy_process_group, dist.barrier
    gloo.rank, gloo.size = dist.get_rank, dist.get_world_size
    gloo.broadcast_parameters, gloo.DistributedOptimizer = broadcast_parameters, distributed_optimizer
    gloo.parameter_hash = parameter_hash
    sys.modules["tally.torch"] = tally.torch = gloo
    runpy.run_path(sys.argv[1], run_name="__main__")


if __name__ == "__main__":
    main()
