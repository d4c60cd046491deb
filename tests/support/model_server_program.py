"""A ``tensorflow_model_server`` for tests: the real one's command line, behind which the stand-in's server runs.

It takes only flags that the real program has, opens the ports that it is told, and reports nothing.
"""

import sys
from pathlib import Path
from typing import Final

from follower.engines.folder import environment_of

VERSION: Final = "0.0.0-test"

_SCRIPT: Final = """#!{python}
import os, sys
if "--version" in sys.argv:
    print("TensorFlow ModelServer: {version}\\nTensorFlow Library: 0.0.0")
    sys.exit(0)
if any(flag.startswith("--status_file") for flag in sys.argv):
    sys.exit("unknown flag --status_file")
os.environ["PYTHONPATH"] = {engine!r}
os.execv({python!r}, [{python!r}, "-P", "-m", "follower.serve.tensorflow.server", *sys.argv[1:]])
"""


def install_model_server(folder: Path) -> Path:
    """Writes the program into a folder that is then searched; answers the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "tensorflow_model_server"
    engine = environment_of("tensorflow")["PYTHONPATH"]
    program.write_text(_SCRIPT.format(python=sys.executable, version=VERSION, engine=engine))
    program.chmod(0o755)
    return folder
