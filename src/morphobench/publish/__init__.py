"""Stage `publish`: a finished run in the layout of the published data, for others to start from."""
