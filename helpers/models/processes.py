"""Several processes that train one model: how many there are, which one this is, and how they wait for each other.

`accelerate launch` (or torchrun) starts them and says so in environment variables; without it there is one.
"""

from __future__ import annotations

import os

from helpers.errors import UserError


def count() -> int:
    """Processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one that writes files."""
    return int(os.environ.get("RANK", "0")) == 0


def shards_model() -> bool:
    """Whether the weights are spread over the processes (FSDP) instead of copied to each."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def join(device: str) -> None:
    """Meet the other processes, over gloo on the CPU and over NCCL on GPUs."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu")


def wait() -> None:
    """Go on once every process has come here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def device_name(device: str) -> str:
    """`cpu`, or the GPU of this process."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" and count() > 1 else device


def split_batch(batch_size: int, accumulation: int, processes: int) -> tuple[int, int]:
    """Batch size and accumulation of each process, so that all of them together see the rows that one would see."""
    if batch_size % processes == 0:
        return batch_size // processes, accumulation
    if accumulation % processes == 0:
        return batch_size, accumulation // processes
    raise UserError(
        f"{processes} processes cannot share batch_size={batch_size} × accumulation={accumulation} evenly: "
        "set one of the two to a multiple of the processes with --set"
    )
