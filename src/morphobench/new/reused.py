"""The part of a data set's yaml that names the trained weights which embed its cells."""

from pathlib import Path
from typing import Any

from morphobench.config.schema import read_yaml
from morphobench.errors import InputError
from morphobench.files import weights
from morphobench.new.bodies import listed, quoted

_COMMENT = "preprocessing, models: theirs; nothing is trained"


def body(origin: str, kind: str, folder: Path) -> str:
    """Return the body of cells that the weights of a data set, or of a folder, embed.

    `folder` is that of the data sets.

    Raises
    ------
    InputError
        When there are no such weights, or they are of cells of another kind.
    """
    if (path := folder / f"{origin}.yaml").is_file():
        _check_kind(path, read_yaml(path).get("kind"), kind)
        return f"weights_from: {origin}   # {_COMMENT}\n\n"
    found = {file.stem: file for file in sorted(Path(origin).expanduser().glob("*.pt"))}
    if not found:
        raise InputError(
            f"{origin}: no data set in {folder}, and no folder of weights (<model>.pt). Correct it."
        )
    for file in found.values():
        _check_kind(file, _kind(file), kind)
    # Rotation-invariant ones come last by name: the pose of a new cell should not count.
    *_, last = found
    models = f"models: &models {listed(list(found))}\nbenchmark: *models\nanalysis_model: {last}\n"
    return f"weights_from: {quoted(origin)}   # {_COMMENT}\n{models}\n"


def _kind(file: Path) -> Any:
    return weights.read_record(file)["sections"].get("kind")


def _check_kind(source: Path, theirs: Any, kind: str) -> None:
    if theirs != kind:
        raise InputError(
            f"{source}: of kind {theirs}, but these cells are {kind}. Name weights of this kind, or train."
        )
