"""The description of a fabricated bucket, `config/buckets/<name>.yaml`, checked before anything is made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphobench.config import schema
from morphobench.errors import InputError

FOLDER = Path("config/buckets")


def read(name: str, laid: Mapping[str, Any], root: Path = Path()) -> dict[str, Any]:
    """Read and check the description of a bucket; `root` is the folder that holds `config`.

    What `laid` says by bucket, `buckets` of the configuration, lies over the files.

    Raises
    ------
    InputError
        When there is none, or it is wrong; naming file and place.
    """
    path = FOLDER / f"{name}.yaml"
    known = sorted(file.stem for file in (root / FOLDER).glob("*.yaml"))
    for asked, where in ((name, "the dataset's source"), *((other, "key buckets") for other in laid)):
        if asked not in known:
            raise InputError(f"no bucket {asked!r}: {FOLDER} has {', '.join(known)}. Mend {where}.")
    bucket = schema.merge(schema.read_yaml(root / path), laid.get(name, {}))
    schema.validate(bucket, "bucket", str(path), root)
    for label, look in bucket["classes"].items():
        if ("wells" in look) != (bucket["plates"] is not None):
            raise InputError(f"{path}: class {label}: a class has wells where the bucket has plates.")
    for odd in bucket["odd"]:
        if odd["like"] not in bucket["classes"]:
            raise InputError(f"{path}: odd: no class {odd['like']!r} ({', '.join(bucket['classes'])}).")
    return bucket
