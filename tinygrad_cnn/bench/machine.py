"""Where and with what was measured: figures without it mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tinygrad-cnn", "numpy", "numba", "torch", "jax", "mygrad")


def machine() -> dict[str, str]:
    """Return the processor and its usable cores, the system, the versions, and the load when it was asked."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": f"{processor()}, {cores} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions(),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:  # macOS
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        names = [asked.stdout.strip()]
    return next(filter(None, names), platform.machine())


def versions() -> dict[str, str]:
    """Return the versions of what has a say in the figures, without importing it."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
