"""From a configuration to the prepared folder: found in the cache, or made there by one process.

The cache is the folder LOCI_CACHE, else XDG_CACHE_HOME/loci, else ~/.cache/loci. What is found
there under a dataset's key is used as it is; any entry may be deleted at any time.
"""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

from comm.errors import BadInput
from workers.data.config import DataConfig
from workers.data.lock import alone
from workers.data.prepared import FORMAT, Prepared, write
from workers.data.registry import source_of
from workers.data.source import Source


def prepare(config: DataConfig) -> Path:
    """The prepared folder of the dataset. Decodes at most once, however many processes ask at once.

    Fetches the dataset's files first if the configuration says so and they are not there.

    Raises BadInput with every problem of the configuration and of the dataset's files.
    """
    source = _found(config)
    try:
        entry = _cache() / f"{source.name}-{_key(source)}"
        if not _intact(entry):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with alone(entry.with_suffix(".lock")):
                if not _intact(entry):  # nobody else made it while we waited
                    write(entry, source.name, source.read())
    except OSError as error:
        raise BadInput(
            [
                f"the prepared dataset cannot be kept in the cache ({error}): "
                "set LOCI_CACHE to a folder on a disk with room, where you may write"
            ]
        ) from error
    return entry


def _cache() -> Path:
    """Where prepared datasets are kept. Raises OSError if there is no place for them."""
    try:
        if chosen := os.environ.get("LOCI_CACHE"):
            return Path(chosen).expanduser().absolute()
        if caches := os.environ.get("XDG_CACHE_HOME"):
            return Path(caches).absolute() / "loci"
        return Path.home() / ".cache" / "loci"
    except RuntimeError as error:
        raise OSError("this user has no home folder") from error


def _intact(entry: Path) -> bool:
    try:
        Prepared(entry)
    except BadInput:
        return False
    return True


def _found(config: DataConfig) -> Source:
    problems: list[str] = []
    if config.image_size is not None and config.image_size < 1:
        problems.append(f"--image-size {config.image_size}: give 1 or more")
        if config.download:
            raise BadInput(problems)  # before anything is fetched
        config = replace(config, image_size=None)
    try:
        source = source_of(config)
    except BadInput as error:
        raise BadInput([*problems, *error.problems]) from error
    if problems:
        raise BadInput(problems)
    return source


def _key(source: Source) -> str:
    """The same for two sources that must give the same images, and for no others."""
    text = json.dumps([FORMAT, source.name, source.identity])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
