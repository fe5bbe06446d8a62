"""Stage `embed`; nothing is imported here, so that planning does not load torch."""
