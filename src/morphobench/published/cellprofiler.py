"""CellProfiler features of published cells, where there are any."""

from collections.abc import Mapping
from typing import Any

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.log import logger
from morphobench.published.manifest import fetch_file, open_published


def run(out: FilePath, *, dataset: Mapping[str, Any], download_config: Mapping[str, Any]) -> None:
    """Copy the published table of features; an empty file, with a line in the log, where there is none.

    A place that cannot be reached is asked once more and counts as one without: nothing else needs it.
    """
    name = dataset["published"]["cellprofiler"]
    content = b""
    try:
        store = open_published(dataset, {**download_config, "retries": 1})
        if len(store.describe([name], dataset=dataset["name"])):
            content = fetch_file(store, name, dataset).read_bytes()
        else:
            logger.info("%s: no CellProfiler features: %s has no %s", dataset["name"], store.location, name)
    except InputError as error:
        logger.warning("%s: no CellProfiler features: %s", dataset["name"], error)
    with files.atomic_file(out) as part:
        part.write_bytes(content)
