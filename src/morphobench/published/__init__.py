"""The layout of the published data, read and written."""
