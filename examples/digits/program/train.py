"""Trains a small network on handwritten digits, data-parallel over the shards of the job.

The rows come split by shard in SHARD_INPUT: a label, then 64 pixels of 0..16. PARTS fixes how a global batch is put
together: every part of the rows gives the same number of rows to it. A shard owns one part; run alone, the script owns
all of them, so that it sees the very same global batches and must arrive at the same model.
"""

import json
import os
import time

import tally.torch as hvd
import torch
from tally import metrics

PARTS = int(os.environ.get("PARTS", "4"))
EPOCHS = int(os.environ.get("EPOCHS", "10"))
LOCAL_BATCH = int(os.environ.get("LOCAL_BATCH", "30"))
OUT = os.environ.get("OUTPUT_DIR", "/out")
HERE = os.path.dirname(os.path.abspath(__file__))


def rows(path):
    with open(path, encoding="ascii") as f:
        table = torch.tensor([[float(x) for x in line.split(",")] for line in f if line.strip()])
    return table[:, 1:] / 16, table[:, 0].long()


def batches(x, y, epoch):
    """The local share of every global batch of an epoch: each owned part, in one order common to all parts."""
    owned = PARTS // hvd.size()
    size = len(x) // owned
    order = torch.randperm(size, generator=torch.Generator().manual_seed(1000 + epoch))
    for start in range(0, size - LOCAL_BATCH + 1, LOCAL_BATCH):
        pick = order[start : start + LOCAL_BATCH]
        index = torch.cat([part * size + pick for part in range(owned)])
        yield x[index], y[index]


def write_parameters(model, path):
    flat = torch.cat([p.detach().reshape(-1) for _, p in sorted(model.named_parameters())])
    with open(path, "wb") as f:
        f.write(flat.numpy().astype("<f4").tobytes())


def main():
    hvd.init()
    if PARTS % hvd.size():
        raise SystemExit(f"PARTS={PARTS} cannot be shared evenly by {hvd.size()} shards")
    torch.set_num_threads(1)
    torch.manual_seed(20)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    optimizer = hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters())
    loss_of = torch.nn.CrossEntropyLoss()
    x, y = rows(os.environ["SHARD_INPUT"])

    step, started = 0, time.time()
    for epoch in range(EPOCHS):
        for bx, by in batches(x, y, epoch):
            optimizer.zero_grad()
            loss = loss_of(model(bx), by)
            loss.backward()
            optimizer.step()
            step += 1
            seen = {"step": step, "epoch": epoch, "loss": float(loss.detach()), "rows": len(bx)}
            if step % 10 == 0:
                seen["parameter_hash"] = hvd.parameter_hash(model)
            if step == 10:
                write_parameters(model, os.path.join(OUT, "parameters-10.f32"))
            metrics.log(**seen)

    hx, hy = rows(os.path.join(HERE, "heldout.csv"))
    with torch.no_grad():
        accuracy = float((model(hx).argmax(1) == hy).float().mean())
    metrics.log(step=step, accuracy=accuracy, heldout_rows=len(hx), parameter_hash=hvd.parameter_hash(model))
    torch.save(model.state_dict(), os.path.join(OUT, "model.pt"))
    write_parameters(model, os.path.join(OUT, "parameters.f32"))
    if hvd.rank() == 0:
        print(json.dumps({"steps": step, "seconds": round(time.time() - started, 3), "accuracy": accuracy}))
    hvd.barrier()
    hvd.shutdown()


if __name__ == "__main__":
    main()
