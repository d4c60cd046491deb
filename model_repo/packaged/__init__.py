"""Trained networks for a benchmark that needs no download of its own."""

from model_repo.packaged.installed import load, packaged_models
from model_repo.packaged.table import PackagedModel

__all__ = ["PackagedModel", "load", "packaged_models"]
