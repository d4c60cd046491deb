"""A ``tensorflow_model_server`` for tests: the real one's command line, behind which the stand-in's server runs.

It takes only flags that the real program has, opens the ports that it is told, and reports nothing. As a program of
this machine, or in an image of the real one's kind.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.containers import made_on

from follower.engines.folder import environment_of
from follower.serve.containers.images import DEFAULT_IMAGES
from follower.serve.tensorflow.platform import VERSION_LABEL

VERSION: Final = "0.0.0-test"

_SCRIPT: Final = """#!{python}
import os, sys
if "--version" in sys.argv:
    print("TensorFlow ModelServer: {version}\\nTensorFlow Library: 0.0.0")
    sys.exit(0)
if any(flag.startswith("--status_file") for flag in sys.argv):
    sys.exit("unknown flag --status_file")
os.environ["PYTHONPATH"] = {engine!r}
more = {more!r}
os.execv({python!r}, [{python!r}, "-P", "-m", "follower.serve.tensorflow.server", *sys.argv[1:], *more])
"""

_RECIPE: Final = """LABEL {label}={version}
USER root
COPY tensorflow_model_server /usr/bin/tensorflow_model_server
RUN chmod 755 /usr/bin/tensorflow_model_server
ENTRYPOINT ["/bin/false"]
"""


def install_model_server(folder: Path) -> Path:
    """Writes the program into a folder that is then searched; answers the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "tensorflow_model_server"
    engine = environment_of("tensorflow")["PYTHONPATH"]
    program.write_text(_SCRIPT.format(python=sys.executable, version=VERSION, engine=engine, more=[]))
    program.chmod(0o755)
    return folder


@contextmanager
def model_server_image() -> Iterator[str]:
    """An image that holds the program where the real one has it, listening on all addresses as the real one does.

    Its entry point is of no use, since ours takes its place. Made on the stand-in's image, which has to be there.
    """
    more = ["--listen_host=0.0.0.0"]
    script = _SCRIPT.format(python="/usr/bin/python3", version=VERSION, engine="/opt/engine:/opt/inferbench", more=more)
    recipe = _RECIPE.format(label=VERSION_LABEL, version=VERSION)
    with made_on(DEFAULT_IMAGES["tfs-compat"], recipe, {"tensorflow_model_server": script}) as image:
        yield image
