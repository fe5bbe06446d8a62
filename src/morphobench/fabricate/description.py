"""The description of a fabricated bucket, `config/buckets/<name>.yaml`, checked before anything is made."""

from pathlib import Path
from typing import Any

from morphobench.config import schema
from morphobench.errors import InputError

FOLDER = Path("config/buckets")


def read(name: str, root: Path = Path()) -> dict[str, Any]:
    """Read and check the description of a bucket; `root` is the folder that holds `config`.

    Raises
    ------
    InputError
        When there is none, or it is wrong; naming file and place.
    """
    path = FOLDER / f"{name}.yaml"
    if not (root / path).is_file():
        known = ", ".join(sorted(other.stem for other in (root / FOLDER).glob("*.yaml")))
        raise InputError(f"no bucket {name!r}: {FOLDER} has {known}. Mend the dataset's source.")
    bucket = schema.read_yaml(root / path)
    schema.validate(bucket, "bucket", str(path), root)
    for label, look in bucket["classes"].items():
        if ("wells" in look) != (bucket["plates"] is not None):
            raise InputError(f"{path}: class {label}: a class has wells where the bucket has plates.")
    for odd in bucket["odd"]:
        if odd["like"] not in bucket["classes"]:
            raise InputError(f"{path}: odd: no class {odd['like']!r} ({', '.join(bucket['classes'])}).")
    return bucket
