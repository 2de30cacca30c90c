"""What the tests of the fork server let it call, each with one argument."""

import json
import os
import pickle
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from harness.forkserver import ForkServer, Launch
from harness.measure import PhaseMemory, drop_caches, lift_memory_limit, resident_bytes

MB = 1_000_000


def nothing(_):
    pass


def leave(code):
    sys.exit(code)


def die(number):
    os.kill(os.getpid(), number)


def fail(text):
    raise ValueError(text)


def pause(path):
    """Say who and live until killed."""
    _append(path, os.getpid())
    while True:
        signal.pause()


def say(path):
    """Say who and leave."""
    _append(path, os.getpid())


def wait_for(paths):
    """Say who, and leave when another file is there."""
    _append(paths[0], os.getpid())
    while not Path(paths[1]).exists():
        signal.sigtimedwait([], 0.002)


def family(path):
    """Child, grandchild and great-grandchild, all alive until killed."""
    os.fork() or os.fork()
    pause(path)


def leave_family(path):
    """Leave at once, with a grandchild that goes on and has said so."""
    ready, done = os.pipe()
    if not os.fork():
        _append(path, os.getpid())
        os.write(done, b"x")
        pause(os.devnull)
    os.read(ready, 1)


def daemon(path):
    """Leave at once, with a grandchild that has made a session of its own."""
    ready, done = os.pipe()
    if not os.fork():
        os.setsid()
        _append(path, os.getpid())
        os.write(done, b"x")
        pause(os.devnull)
    os.read(ready, 1)


def shout(megabytes):
    """Print to both outputs, from Python and from below it."""
    for _ in range(megabytes):
        sys.stdout.write("o" * (2**20 - 1) + "\n")
        sys.stderr.write("e" * 15 + "\n")
    sys.stdout.flush()
    os.write(1, b"the end\n")


def describe(path):
    """What this process inherited."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]  # not that of the listing
    found = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgid(0),
        "session": os.getsid(0),
        "descriptors": {int(link.name): str(link.readlink()) for link in links},
        "child_signal": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "modules": sorted(sys.modules),
        "environment": dict(os.environ),
        "limit": resource.getrlimit(resource.RLIMIT_DATA)[0],
    }
    Path(path).write_text(json.dumps(found))


def hoard(path):
    """Allocate without end; say how many MiB it got."""
    held = []
    try:
        while True:
            held.append(bytearray(2**20))
    except MemoryError:
        got = len(held)
        held.clear()
    _append(path, got)


def hoard_and_lift(path):
    """Run out of memory, and with all of it still held, allocate the limit once more."""
    held = []
    try:
        while True:
            held.append(bytearray(2**20))
    except MemoryError:
        lift_memory_limit()
    held.append(bytearray(len(held) * 2**20))
    _append(path, len(held[-1]))


def phases(path):
    """Touch 100 MB and free them, then 40 MB, then nothing more; then 60 MB in the first phase again."""
    memory = PhaseMemory()
    held = np.ones(100 * MB, np.uint8)
    del held
    memory.close("build")
    held = np.ones(40 * MB, np.uint8)
    memory.close("train")
    memory.close("evaluate")
    more = np.ones(20 * MB, np.uint8)
    memory.close("build")
    found = {each.name: each.value for each in memory.measurements()}
    Path(path).write_text(json.dumps({"baseline": memory.baseline, "held": len(held) + len(more), **found}))


def torch_phases(path):
    """Build tensors of 100 MB, then train a little: much of torch's code runs for the first time."""
    import torch

    memory = PhaseMemory()
    held = torch.ones(25 * MB)
    memory.close("build")
    weight = torch.eye(300, requires_grad=True)
    optimizer = torch.optim.AdamW([weight])
    for _ in range(3):
        (weight @ weight).sum().backward()
        optimizer.step()
    memory.close("train")
    found = {each.name: each.value for each in memory.measurements()}
    Path(path).write_text(json.dumps({"held": held.nbytes, **found}))


def trim(path):
    """Fill the heap, free it, and tell the resident memory before, then, and after `drop_caches`."""
    before = resident_bytes()
    blocks = [bytes(2000) for _ in range(20_000)]
    keep = blocks[-1]
    blocks.clear()
    then = resident_bytes()
    drop_caches()
    _append(path, f"{before} {then} {resident_bytes()} {len(keep)}")


def launch(job, function, argument=None, *, log=os.devnull, memory=None):
    """An order for one of the above."""
    return Launch(
        id=job, target=f"jobs:{function}", argument=pickle.dumps(argument), log=Path(log), memory=memory
    )


def own(function, path, folder, *, hold=0, preload=()):
    """Own a fork server that runs one job, and hold some bytes; an interrupt is only noted."""
    signal.signal(signal.SIGINT, lambda *_: _append(f"{folder}/interrupted", "yes"))
    held = np.ones(hold, np.uint8)
    with ForkServer(preload) as server:
        server.start(launch(1, function, path))
        _append(f"{folder}/server", server.pid)
        ended = []
        while not ended:
            ended = server.ended(1)
        _append(f"{folder}/ended", f"{ended[0].code} {ended[0].signal} {len(held)}")


def _append(path, what):
    with Path(path).open("a") as file:
        file.write(f"{what} ")
