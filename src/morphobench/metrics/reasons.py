"""Reasons why a score is missing, or what was left out of it."""

import numpy as np


def left_out(known: np.ndarray, what: str, cells: str = "cells") -> str:
    """Say how many cells `have no ...`; empty where all are known."""
    return "" if known.all() else f"{(~known).sum()} of {len(known)} {cells} {what}"


def join(*reasons: str) -> str:
    """Join what is not empty."""
    return "; ".join(reason for reason in reasons if reason)
