"""A trained model with its preprocessing: embeddings, poses and shapes of cells in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from morphobench.api import cells as api_cells
from morphobench.errors import InputError, named
from morphobench.files import FilePath
from morphobench.geometry.overlap import Mesh
from morphobench.models import decode as decoding
from morphobench.models import weights
from morphobench.models.cells import subsample_each
from morphobench.models.device import model_device, select_device
from morphobench.models.encode import encode_batch
from morphobench.models.inputs import to_batch

Cell = np.ndarray | Mesh


class TrainedModel:
    """A trained model; made by `load`. Numbers are those of the workflow for the same cells.

    Cells are sequences, all of one kind, preprocessed as those of the training (`preprocessing`):

    - models of points: arrays (n, 3), x, y, z in micrometres about the centre of the cell's mask; with a
      fourth column, the intensity in camera counts, for models that read it;
    - models of shapes (sdf, seg, surface): volumes (z, y, x), foreground above half of the largest value, or
      meshes (vertices (n, 3) in micrometres, x, y, z, and faces (m, 3), outward);
    - models of cubes: arrays (s, s, s), z, y, x, in camera counts, as stage `sample` writes them.

    Attributes
    ----------
    model_config, record
        Content of the model's yaml, and the record of the training.
    """

    def __init__(self, stored: weights.Weights, device: torch.device) -> None:
        self.model = stored.model.export().to(device)
        self.model_config, self.record = stored.model_config, stored.record

    @property
    def latent_dim(self) -> int:
        """The number of columns of an embedding."""
        return self.model.latent_dim

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How the cells of the training were preprocessed, by section of a data set's yaml."""
        return self.record["preprocessing"]

    def encode(self, cells: Sequence[Cell], **options: Any) -> np.ndarray:
        """Return the embeddings of cells, shape (n_cells, latent_dim), float32.

        Parameters
        ----------
        cells
            See the class.
        spacing_um
            Of volumes, the edge of a voxel, or the edges along z, y, x, micrometres; required. Of points and
            meshes, micrometres per unit, 1 where it is left out.
        cell_ids
            Their CellIds: what is drawn at random of each is then what the workflow draws.
        dataset
            Name of their data set in the workflow; without, that of the training.
        batch_size
            Cells encoded together; no result depends on it beyond rounding.

        Raises
        ------
        InputError
            For a cell of another kind, naming it, or one that does not fit the model's grid.
        """
        return self._encoded(cells, "z", options)

    def pose(self, cells: Sequence[Cell], **options: Any) -> np.ndarray:
        """Return the rotations from the canonical to the observed frame, (n_cells, 3, 3); see `encode`.

        They act on columns x, y, z. Of models without a pose, the identity.
        """
        if poses := [part["pose"] for part in self._batches(cells, **options) if "pose" in part]:
            return np.concatenate(poses)
        return np.tile(np.eye(3, dtype=np.float32), (len(cells), 1, 1))

    def decoder_input(self, cells: Sequence[Cell], **options: Any) -> np.ndarray:
        """Return what `decode` reads: embeddings; vectors (n_cells, latent_dim, 3) of the implicit model."""
        return self._encoded(cells, "vectors", options)

    def decode(
        self,
        z: np.ndarray,
        *,
        pose: np.ndarray | None = None,
        sizes_um: Sequence[float] | np.ndarray | None = None,
        batch_size: int = 32,
    ) -> list[np.ndarray] | list[Mesh]:
        """Decode embeddings (`decoder_input`) into clouds (n, 3) or meshes, micrometres, or cubes (s, s, s).

        Parameters
        ----------
        pose
            Rotations (n_cells, 3, 3) to the observed frame; None, canonical shapes.
        sizes_um
            Of shapes whose sizes were removed before training: micrometres per voxel of the grid, or of the
            implicit model per longest side, 1 where it is left out. Others have the size of the training.
        """
        z = np.asarray(z)
        representation = self.model_config["representation"]
        if representation == "surface" and z.ndim != 3:
            raise InputError("lengths do not hold a shape. Decode what decoder_input(cells) returns.")
        if sizes_um is None and representation in decoding.VOLUMES:
            sizes_um = np.full(len(z), 1 / self._factor())
        if representation in ("cube", "points"):
            parts = decoding.decode_batches(self.model, z, pose, batch_size, "32-true")
            decoded = [one.cpu().numpy() for _, part in parts for one in part]
            scale = self.model_config["input_scale"]
            return [one[0] if representation == "cube" else one[:, :3] / scale for one in decoded]
        return decoding.decode_shapes(
            self.model, z, self.model_config, batch_size=batch_size, pose=pose, sizes_um=sizes_um
        )

    def _factor(self) -> float:
        mode = self.preprocessing.get("scale_factor", {}).get("mode")
        return self.record["measured"]["scale_factor"] if mode == "global" else 1.0

    def _encoded(self, cells: Sequence[Cell], name: str, options: dict[str, Any]) -> np.ndarray:
        parts = [part.get(name, part["z"]) for part in self._batches(cells, **options)]
        return np.concatenate(parts) if parts else np.empty((0, self.latent_dim), np.float32)

    @torch.inference_mode()
    def _batches(
        self,
        cells: Sequence[Cell],
        *,
        spacing_um: float | Sequence[float] | None = None,
        cell_ids: Sequence[str] | None = None,
        dataset: str | None = None,
        batch_size: int = 32,
    ) -> Iterator[dict[str, np.ndarray]]:
        ids = [str(number) for number in range(len(cells))] if cell_ids is None else list(cell_ids)
        if len(ids) != len(cells):
            raise InputError(f"{len(ids)} cell_ids for {len(cells)} cells. Give one for each.")
        draws = api_cells.Draws(self.record["draw_seed"], dataset or self.record["dataset"])
        for start in range(0, len(cells), batch_size):
            rows, batches = range(start, min(start + batch_size, len(cells))), []
            for row in rows:
                with named(f"cell {ids[row]}"):
                    raw = api_cells.arrays(
                        cells[row], spacing_um, self.model_config, self.record, draws, ids[row]
                    )
                    batch = to_batch(raw, self.model_config)
                    batches.append(
                        subsample_each(batch, [ids[row]], self.model_config, draws.subsample_seed).x
                    )
            x = torch.cat(batches).to(model_device(self.model))
            yield {name: value.cpu().numpy() for name, value in encode_batch(self.model, x).items()}


def load(path: FilePath, *, device: str = "cpu") -> TrainedModel:
    """Load trained weights with their record: a file, or the folder of a training; nothing is executed.

    Parameters
    ----------
    path
        results/train/<dataset>/<model>/seed-<seed>, or a file of weights with its record beside it.
    device
        "cpu", "gpu", or "auto" for a GPU when there is one.

    Raises
    ------
    InputError
        When a file is missing, damaged, of another version or hostile.
    """
    path = Path(path)
    stored = weights.read(path / "model.pt" if path.is_dir() else path)
    return TrainedModel(stored, select_device(device))
