"""Images and their label images, paired by their names."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from morphobench.errors import InputError
from morphobench.files import hdf_images
from morphobench.new import volumes

_WORDS = (
    r"cp[_-]?masks?|labels?|lbl|seg(mentation|mented)?s?|masks?|instances?|labelled|annotations?"
    # As ilastik and PlantSeg call them.
    r"|object[ _-]identities|(predictions[ _-])?(multicut|gasp|mutex_?ws|(dt[ _-])?watershed)"
)
_IS_LABELS = rf"(?i)(^|[_\-. ])({_WORDS})$"
_IS_IMAGE = r"(?i)[_\-. ](raw|img|image|images|intensity|ch\d+)$"
_IMAGE_FOLDERS = r"(?i)^(raw|imgs?|images?|intensit(y|ies))$"


class Pair(NamedTuple):
    """An image, or None for segmentations alone, and its label images by name."""

    image: Path | None
    labels: dict[str, Path]

    @property
    def first(self) -> Path:
        """The image, or of segmentations alone the first of them."""
        return self.image or self.cells

    @property
    def cells(self) -> Path:
        """The label image that defines the cells."""
        return next(iter(self.labels.values()))


def pairs_of(files: Sequence[Path], folder: Path) -> list[Pair]:
    """Pair images and label images below a folder by their names, as `a.tif` and `a_label.tif`.

    Raises
    ------
    InputError
        When there are images, but no label image of any.
    """
    keys = {file: _key(file, folder) for file in files}
    raw = {key: file for file, (key, is_label) in keys.items() if not is_label}
    segmented = [(key, file) for file, (key, is_label) in keys.items() if is_label]
    if not segmented:
        if volumes.look_like_labels(files):
            return [Pair(None, {"cells": file}) for file in files]
        reason = f"{len(files)} images, and no label image or mask among them (names with label, seg or mask)"
        raise InputError(
            f"{folder}: {reason}. Segment the cells (such as with Cellpose), save them beside the images."
        )
    if not raw:
        return [Pair(None, {"cells": file}) for _, file in segmented]
    owned: dict[str, dict[str, Path]] = {}
    longer = _only_longer(raw)
    for key, file in segmented:
        owner = next((one for one in _prefixes(key) if one in raw), None) or longer.get(key)
        if owner is not None:
            owned.setdefault(owner, {})[key[len(owner) :].strip("_-. ") or "labels"] = file
    if not owned:
        reason = f"{len(raw)} images and {len(segmented)} label images, but none of one name"
        first = f"{min(raw.values()).name}, {segmented[0][1].name}"
        raise InputError(
            f"{folder}: {reason} (first {first}). Call them a.tif and a_label.tif, or write a table."
        )
    return [Pair(raw[key], labels) for key, labels in sorted(owned.items())]


def names_labels(column: str, files: Sequence[Path]) -> bool:
    """Return whether a column of a table names label images, by its name, theirs, or what they hold."""
    if re.search(_IS_LABELS, column):
        return True
    if re.search(_IMAGE_FOLDERS, column) or re.search(_IS_IMAGE, column):
        return False
    stems = [re.sub(r"(?i)(\.ome)?\.\w+$", "", file.name) for file in files]
    return all(re.search(_IS_LABELS, stem) for stem in stems) or volumes.look_like_labels(files)


def _key(file: Path, folder: Path) -> tuple[str, bool]:
    """Return what an image and its label image have in common, and whether the file is a label image."""
    if place := hdf_images.split(file):
        # Arrays of one file pair as files do: a.h5/raw and a.h5/label as a_raw and a_label.
        file = place[0].with_name("_".join([place[0].stem, *place[1].split("/")]) + place[0].suffix)
    *above, name = file.relative_to(folder).parts
    stem = re.sub(r"(?i)(\.ome)?\.\w+$", "", name)
    is_label = bool(re.search(_IS_LABELS, stem)) or any(re.search(_IS_LABELS, part) for part in above)
    stem = re.sub(_IS_LABELS, "", stem) if is_label else re.sub(_IS_IMAGE, "", stem)
    above = [
        part for part in above if not re.search(_IS_LABELS, part) and not re.search(_IMAGE_FOLDERS, part)
    ]
    return "/".join([*above, stem.strip("_-. ")]), is_label


def _only_longer(keys: Iterable[str]) -> dict[str, str]:
    """Return the beginnings of keys that belong to one alone, as `a` of `a_membrane`, and that key."""
    begun = [(start, key) for key in keys for start in _prefixes(key)[1:]]
    counts = Counter(start for start, _ in begun)
    return {start: key for start, key in begun if counts[start] == 1}


def _prefixes(key: str) -> list[str]:
    """Return a key and its beginnings up to a separator, the longest first."""
    return [key, *(key[: match.start()] for match in reversed(list(re.finditer(r"[_\-. ]", key))))]
