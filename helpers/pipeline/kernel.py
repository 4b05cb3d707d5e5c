"""The kernel of a notebook, which ends soon after the run that started it, however early that is killed.

ipykernel looks after its parent as soon as it has been imported, and for a parent that is gone by then only where orphans
go to process 1; with systemd or in a container it would stay for good, and keep the lock of the task.
"""

from __future__ import annotations

import os
import threading
import time


def follow(parent: int) -> None:
    """End this process when its parent is another one, or was from the beginning."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    """Start the kernel with the options of `ipykernel_launcher`."""
    parent = int(os.environ["JPY_PARENT_PID"])
    threading.Thread(target=follow, args=[parent], daemon=True).start()
    from ipykernel import kernelapp  # takes a second, in which the parent may be killed

    kernelapp.launch_new_instance()


if __name__ == "__main__":
    main()
