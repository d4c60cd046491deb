"""The environment of a launched command: what it needs, and nothing of the caller's."""

from typing import Final

from follower.serve.launch.protocol import LaunchRequest

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def minimal_environment(request: LaunchRequest) -> dict[str, str]:
    """Fixed search path and locale, scratch inside the work directory, thread counts; the request's own on top."""
    workdir = str(request.workdir)
    return {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOME": workdir,
        "TMPDIR": workdir,
        "PYTHONUNBUFFERED": "1",
        **{name: str(request.threads) for name in THREAD_VARIABLES},
        **request.environment,
    }
