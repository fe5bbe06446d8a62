"""Scores on one scale: 0 for what knows nothing of a cell, 1 for what knows the answers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

_KEY = ["metric", "variant"]
_OF_MODEL = ["model", "seed", "variant"]
# Errors of decoders, which controls do not have, lie between rows of the same model: the error of another
# cell, and that of another sampling of the cell, or 0 where nothing is sampled.
_ERRORS = ("reconstruction", "reconstruction_chamfer", "reconstruction_surface")
_CHANCE, _KNOWN = "_other_cell", ("_sampling_distance", "_noise_floor")
# Where both ends decode to one shape, and on a shortest path.
_STATED = {"evolution_energy": (2.0, 1.0)}


def scaled_values(scores: pd.DataFrame, anchors: Mapping[str, str]) -> pd.Series:
    """Return every corrected or published value scaled to 0 for chance and 1 for known answers.

    `anchors` names the models, controls, of `chance` and of the `known` answers; decoders have ends of their
    own, above. NaN without them, for metrics without a good direction, and where the ends are not apart: the
    known one is no better, or the controls' intervals overlap.
    """
    ends = _control_ends(scores, anchors)
    known, chance = ends["known"].copy(), ends["chance"].copy()
    corrected = scores["variant"] == "corrected"
    for metric in _ERRORS:
        rows = corrected & (scores["metric"] == metric)
        chance[rows] = _own(scores, rows, metric + _CHANCE)
        floors = [_own(scores, rows, metric + end) for end in _KNOWN]
        known[rows] = floors[0].fillna(floors[1]).fillna(0.0)
    for metric, (worst, best) in _STATED.items():
        rows = corrected & (scores["metric"] == metric)
        chance[rows], known[rows] = worst, best
    span = known - chance
    better = scores["better"].map({"high": 1.0, "low": -1.0}) * span > 0
    return ((scores["value"] - chance) / span.where(better)).astype(np.float64)


def _control_ends(scores: pd.DataFrame, anchors: Mapping[str, str]) -> pd.DataFrame:
    """Return the values of the controls for the metric of every row; NaN where their intervals overlap."""
    columns = ["value", "ci_low", "ci_high"]
    ends = {
        end: scores[scores["model"] == anchors.get(end)].groupby(_KEY)[columns].mean()
        for end in ("chance", "known")
    }
    both = ends["chance"].join(ends["known"], lsuffix="_chance", rsuffix="_known", how="inner")
    overlap = (both["ci_low_chance"] <= both["ci_high_known"]) & (
        both["ci_low_known"] <= both["ci_high_chance"]
    )
    apart = both.loc[~overlap, ["value_chance", "value_known"]].set_axis(["chance", "known"], axis=1)
    return scores[_KEY].join(apart, on=_KEY)


def _own(scores: pd.DataFrame, rows: pd.Series, metric: str) -> pd.Series:
    """Return, for some rows, the value of another metric of the same model and training."""
    values = scores[scores["metric"] == metric].groupby(_OF_MODEL)["value"].mean().rename("own")
    return scores.loc[rows, _OF_MODEL].join(values, on=_OF_MODEL)["own"]
