"""Calibrations on disk, one small file for each shape; a file that is broken or of another host is as none."""

import os
import tempfile
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from follower.calibrate.shape import Fact, Host, Shape
from follower.generate.blob_cache import PARTIAL
from shared.measure.manifest import Calibration

SUFFIX: Final = ".calibration.json"


class Stored(Fact):
    """One file."""

    host: Host
    shape: Shape
    calibration: Calibration


class CalibrationCache:
    """A follower's calibrations. They lie beside the fetched blobs, whose cache evicts them in its turn."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder = folder
        self._host = host

    def find(self, shape: Shape) -> Calibration | None:
        """What was measured for such a load on this host as it is now, marked as reused."""
        try:
            stored = Stored.model_validate_json(self._path(shape).read_bytes())
        except (OSError, ValidationError):
            return None
        if stored.host != self._host or stored.shape != shape:
            return None
        return stored.calibration.model_copy(update={"reused": True})

    def keep(self, shape: Shape, calibration: Calibration) -> None:
        """For later runs; the file appears whole or not at all. A full disk is no reason to lose the run."""
        stored = Stored(host=self._host, shape=shape, calibration=calibration)
        try:
            handle, partial = tempfile.mkstemp(dir=self._folder, suffix=PARTIAL)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(stored.model_dump_json())
            Path(partial).replace(self._path(shape))
        except OSError:
            return

    def _path(self, shape: Shape) -> Path:
        return self._folder / (shape.sha256 + SUFFIX)
