# SPDX-License-Identifier: Apache-2.0
"""What a training program does with files; run by a Python that has PyTorch:

    torch_jobs.py JOB FOLDER [--size N]

Each job makes what it needs in FOLDER, compares every byte that it reads with what it wrote, prints "half" in its middle, and fails at the
first error. --size: how many files, samples, steps."""

import argparse
import hashlib
import io
import os
import sys
import time
import zlib

import numpy
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

WORKERS = 2


def half():
    print("half", flush=True)


def sample(seed, size):
    return hashlib.shake_128(str(seed).encode()).digest(size)


# ---- reading ----


class Files(Dataset):
    """A sample is a file; its label its number."""

    def __init__(self, top, count):
        self.top, self.count = top, count

    def path(self, i):
        return os.path.join(self.top, f"class{i % 10}", f"{i:06}.bin")

    @staticmethod
    def size(i):
        return 2000 + (i * 977) % 30000

    def make(self):
        for i in range(self.count):
            os.makedirs(os.path.dirname(self.path(i)), exist_ok=True)
            with open(self.path(i), "wb") as f:
                f.write(sample(i, self.size(i)))

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        with open(self.path(i), "rb") as f:
            data = f.read()
        return i, len(data), zlib.crc32(data)


def files(top, size):
    """A DataLoader with workers, two shuffled epochs over many small files."""
    data = Files(os.path.join(top, "files"), size)
    data.make()
    expected = [zlib.crc32(sample(i, data.size(i))) for i in range(size)]
    for epoch in range(2):
        seen = set()
        loader = DataLoader(data, batch_size=32, shuffle=True, num_workers=WORKERS, generator=torch.Generator().manual_seed(epoch))
        for numbers, sizes, sums in loader:
            for i, length, crc in zip(numbers.tolist(), sizes.tolist(), sums.tolist()):
                assert (length, crc) == (data.size(i), expected[i]), f"sample {i} differs"
                seen.add(i)
            if epoch == 0 and len(seen) >= size // 2 > len(seen) - len(numbers):
                half()
        assert len(seen) == size, len(seen)


def webdataset(top, size):
    """Shards written as tar files, read in order by workers."""
    import webdataset as wds
    folder = os.path.join(top, "shards")
    os.mkdir(folder)
    with wds.ShardWriter(os.path.join(folder, "train-%04d.tar"), maxcount=max(size // 8, 1), verbose=0) as shards:
        for i in range(size):
            if i == size // 2:
                half()
            shards.write({"__key__": f"{i:06}", "bin": sample(i, 20000), "cls": i % 10})
    urls = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    assert len(urls) >= 8, urls
    loader = wds.WebLoader(wds.WebDataset(urls, shardshuffle=False).to_tuple("__key__", "bin", "cls"), num_workers=WORKERS, batch_size=None)
    seen = 0
    for key, data, label in loader:
        assert data == sample(int(key), 20000) and int(label) == int(key) % 10, f"sample {key} differs"
        seen += 1
    assert seen == size, f"{seen} of {size} samples"


def arrays(top, size):
    """Memory-mapped arrays: written through the mapping, read by it, and torch.load(mmap=True)."""
    path = os.path.join(top, "array.npy")
    array = numpy.lib.format.open_memmap(path, mode="w+", dtype="float32", shape=(size, 1024))
    expected = numpy.arange(size * 1024, dtype="float32").reshape(size, 1024)
    array[: size // 2] = expected[: size // 2]
    array.flush()
    half()
    array[size // 2:] = expected[size // 2:]
    array.flush()
    del array
    again = torch.from_numpy(numpy.load(path, mmap_mode="r+"))
    order = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    for rows in order.split(64):
        assert torch.equal(again[rows], torch.from_numpy(expected[rows.numpy()])), "rows differ"
    del again
    shared = torch.from_file(os.path.join(top, "shared.bin"), shared=True, size=size * 256, dtype=torch.float32)
    shared.copy_(torch.arange(size * 256))
    del shared
    assert numpy.array_equal(numpy.fromfile(os.path.join(top, "shared.bin"), dtype="float32"), numpy.arange(size * 256, dtype="float32"))
    torch.save({"a": torch.from_numpy(expected)}, os.path.join(top, "array.pt"))
    lazily = torch.load(os.path.join(top, "array.pt"), mmap=True)
    assert torch.equal(lazily["a"], torch.from_numpy(expected)), "mapped tensor differs"


def safetensors(top, size):
    """Slices of tensors out of a large file, as sharded inference loads them."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file
    path = os.path.join(top, "model.safetensors")
    tensors = {f"layer.{i}": torch.arange(size * 64, dtype=torch.float32).reshape(size, 64) + i for i in range(8)}
    save_file(tensors, path)
    half()
    with safe_open(path, framework="pt") as f:
        assert sorted(f.keys()) == sorted(tensors)
        for name, tensor in tensors.items():
            part = f.get_slice(name)
            for rank in range(4):
                rows = slice(rank * size // 4, (rank + 1) * size // 4)
                assert torch.equal(part[rows], tensor[rows]), f"{name}, slice {rank}"
                assert torch.equal(part[:, rank * 16:rank * 16 + 16], tensor[:, rank * 16:rank * 16 + 16]), f"{name}, columns {rank}"
    whole = load_file(path)
    assert all(torch.equal(whole[name], tensor) for name, tensor in tensors.items())


# ---- checkpoints ----


class Training:
    """A model whose weights after N steps are always the same, and its checkpoint."""

    def __init__(self):
        torch.manual_seed(0)
        torch.use_deterministic_algorithms(True)
        self.model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 64))
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.step = 0

    def train(self):
        generator = torch.Generator().manual_seed(self.step)
        x, y = torch.randn(16, 256, generator=generator), torch.randn(16, 64, generator=generator)
        self.optimizer.zero_grad()
        nn.functional.mse_loss(self.model(x), y).backward()
        self.optimizer.step()
        self.step += 1

    def state(self):
        return {"step": self.step, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, path):
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def same_as(self, other):
        mine, theirs = self.model.state_dict(), other.model.state_dict()
        return all(torch.equal(mine[name], theirs[name]) for name in mine)


def save_and_replace(state, path):
    with open(path + ".tmp", "wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)  # the name, too, survives the machine
    os.close(folder)


def marked(step, size):
    """A checkpoint of which a mixture of two can be told."""
    return {"step": step, "weights": [torch.full((size * 100,), float(step)) for _ in range(20)]}


def replace(top, size):
    for step in range(1, size + 1):
        if step == size // 2:
            half()
        save_and_replace(marked(step, size), os.path.join(top, "latest.pt"))


def in_place(top, size):
    for step in range(1, size + 1):
        if step == size // 2:
            half()
        torch.save(marked(step, size), os.path.join(top, "latest.pt"))


def whole(path):
    """The bytes of a file that nobody changed meanwhile; None: somebody did, or it is not there yet."""
    try:
        before = os.stat(path)
        with open(path, "rb") as f:
            data = f.read()
        after = os.stat(path)
    except FileNotFoundError:
        return None
    same = (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    return data if data and same else None


def watch(top, size):
    """Beside `replace` or `in_place`, possibly on another mount: what is read is always one whole checkpoint, never an older one than before."""
    path, last, loads = os.path.join(top, "latest.pt"), 0, 0
    while last < size:
        data = whole(path)
        if data is None:
            time.sleep(0.05)
            continue
        state = torch.load(io.BytesIO(data))
        assert state["step"] >= last, f"step {state['step']} after {last}"
        assert all(bool((w == state["step"]).all()) for w in state["weights"]), f"step {state['step']} is a mixture"
        last, loads = state["step"], loads + 1
    print(f"{loads} loads", flush=True)


def resume(top, size):
    """Goes on from the last checkpoint, whoever made it; at the end the weights are those of a run that nobody stopped."""
    path, run = os.path.join(top, "resume.pt"), Training()
    if os.path.exists(path):
        run.load(path)
    print(f"from step {run.step}", flush=True)
    while run.step < size:
        run.train()
        save_and_replace(run.state(), path)
        if run.step == size // 2:
            half()
        print(f"step {run.step}", flush=True)
    uninterrupted = Training()
    while uninterrupted.step < size:
        uninterrupted.train()
    assert run.same_as(uninterrupted), "the weights differ"


def distributed_state(rank, size):
    from torch.distributed._tensor import Shard, distribute_tensor, init_device_mesh
    mesh = init_device_mesh("cpu", (2,))
    whole = torch.arange(size * 512, dtype=torch.float32).reshape(size, 512)
    return {"sharded": distribute_tensor(whole, mesh, [Shard(0)]), "replicated": torch.ones(100) * 7}, whole


def distributed_process(rank, top, size):
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{top}/rendezvous", rank=rank, world_size=2)
    for step in range(4):
        state, whole = distributed_state(rank, size)
        folder = os.path.join(top, f"dcp-{step}")
        dcp.save(state, checkpoint_id=folder)
        if step == 1 and rank == 0:
            half()
        dist.barrier()
        empty = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
        dcp.load(empty, checkpoint_id=folder)
        assert torch.equal(empty["sharded"].full_tensor(), whole), "the sharded tensor differs"
        assert torch.equal(empty["replicated"], torch.ones(100) * 7)
    dist.barrier()
    dist.destroy_process_group()


def distributed(top, size):
    """Two processes save and load one checkpoint together; they find each other by a file with locks."""
    torch.multiprocessing.spawn(distributed_process, args=(top, size), nprocs=2)


JOBS = (files, webdataset, arrays, safetensors, replace, in_place, watch, resume, distributed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=[job.__name__ for job in JOBS])
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    globals()[arguments.job](os.path.abspath(arguments.folder), arguments.size)
    print("done", flush=True)


if __name__ == "__main__":
    sys.exit(main())
