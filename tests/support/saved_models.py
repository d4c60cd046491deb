"""Tiny SavedModels whose answers are known without running them, written by TensorFlow in a process of its own."""

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from follower.engines.folder import environment_of

_SCRIPT: Final = """
import sys
import tensorflow as tf

folder = sys.argv[1]


def save(name, function, *specs, signature="serving_default"):
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    module.serve = tf.function(lambda *tensors: function(module.weight, *tensors), input_signature=specs)
    tf.saved_model.save(module, f"{folder}/{name}", signatures={signature: module.serve})


rows = tf.TensorSpec([None, 4], tf.float32, name="x")
affine = lambda two, x: {"y": two * x + 1, "z": tf.reduce_sum(x, 1)}
save("affine", affine, rows)
save("elsewhere", affine, rows, signature="score")
save("fixed", lambda two, x: {"y": two * x}, tf.TensorSpec([3, 4], tf.float32, name="x"))
save("shouting", lambda _, text: {"loud_bytes": tf.strings.upper(text)}, tf.TensorSpec([None], tf.string, name="text"))
lookup = lambda _, i: {"y": tf.gather(tf.constant([0.0, 10.0, 20.0]), i)}
save("lookup", lookup, tf.TensorSpec([None], tf.int64, name="i"))
"""


def run_with_tensorflow(script: str, *arguments: str) -> str:
    """What the script prints; it may import TensorFlow and the stubs of its serving API."""
    environment = {**environment_of("tensorflow"), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    argv = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@functools.cache
def _all() -> Path:
    """All of them, once for the whole test run."""
    folder = Path(tempfile.mkdtemp(prefix="inferbench-saved-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run_with_tensorflow(_SCRIPT, str(folder))
    return folder


def saved_model(name: str, folder: Path) -> Path:
    """A copy of the model of this name, as ``folder``/model."""
    return Path(shutil.copytree(_all() / name, folder / "model"))


def affine(folder: Path) -> Path:
    """Computes y = 2x + 1 and z = the sum of each row of x, for x of shape [batch, 4]."""
    return saved_model("affine", folder)
