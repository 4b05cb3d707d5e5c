import logging
import os
import warnings

# How long a thread of PyTorch waits before it sleeps. The default of a millisecond makes two busy programs on one
# machine many times slower, and sleeping at once costs a fifth of a training step. Read when PyTorch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

# Nothing is told to anybody. ONNX Runtime would send what it runs to its makers; it asks before its first session.
for _name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_name, "1")

# What libraries tell each other: a kernel that could be fetched from the hub, names that PEFT and TRL still use.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", r"`(is_)?gradient_checkpointing(_kwargs)?` is deprecated", FutureWarning)
