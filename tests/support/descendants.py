"""Which of a process's children run a certain module, whatever others come and go meanwhile."""

import psutil


def children_running(parent: psutil.Process, module: str, *, recursive: bool = False) -> list[psutil.Process]:
    """Those with ``module`` on their command line; who has ended, reaped or not, runs nothing."""
    return [child for child in parent.children(recursive=recursive) if _runs(child, module)]


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.NoSuchProcess:  # ZombieProcess is one of them
        return False
