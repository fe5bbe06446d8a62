"""What a data set's scores, analyses and stages need of its source: columns, and channels of crops."""

from collections.abc import Iterator, Mapping
from typing import Any

# Keys of columns that hold numbers.
_NUMBERS = ("targets", "analyse.volume_bins.column", "analyse.pieces.features")
# Keys of `source` for raw files other than images.
FORMS = ("meshes", "point_tables")


def source_needs(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a data set needs of its source.

    These are `needs`, the key that needs each column; `numbers`, those of columns of numbers;
    `used_channels`, the channels that stages read; and `form`, by which their modules are chosen.
    """
    needs: dict[str, str] = {}
    for column, key in _columns(dataset):
        needs.setdefault(column, key)
    numbers = {column: key for column, key in _columns(dataset) if key in _NUMBERS}
    own = {"used_channels": used_channels(dataset), "form": form_of(dataset)}
    return {"needs": needs, "numbers": numbers} | own


def form_of(dataset: Mapping[str, Any]) -> str:
    """Return the form of a data set's cells, by which stages choose modules: its kind for images."""
    return next((form for form in FORMS if (dataset.get("source") or {}).get(form)), dataset.get("kind", ""))


def used_channels(dataset: Mapping[str, Any]) -> list[str]:
    """Return the names of the channels that stages read, in alphabetical order; none for packings."""
    if "channels" not in dataset:
        return []
    role = dataset["mask"]["role"]
    roles = {"structure", dataset["align"]["mask"], *([role] if isinstance(role, str) else role.values())}
    return sorted({dataset["channels"][role] for role in roles})


def _columns(dataset: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each column that a key of the configuration names, and the key."""
    analyse = dataset.get("analyse") or {}
    yield dataset["stratum"], "stratum"
    for key in ("labels", "targets"):
        yield from ((column, key) for column in dataset.get(key) or ())
    for key, options in (
        ("outlier", dataset.get("outlier")),
        ("analyse.volume_bins", analyse.get("volume_bins")),
    ):
        if options:
            yield options["column"], f"{key}.column"
    for column in analyse.get("keep") or ():
        yield column, "analyse.keep"
    if pieces := analyse.get("pieces"):
        yield pieces["label"], "analyse.pieces.label"
        yield from ((column, "analyse.pieces.features") for column in pieces["features"])
    for key in ("condition", "apart", "well", "plate"):
        if column := (analyse.get("drugs") or {}).get(key):
            yield column, f"analyse.drugs.{key}"
    if dataset.get("split"):
        yield dataset["split"], "split"
