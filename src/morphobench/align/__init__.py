"""Stage `align`: bring raw cells into one frame in micrometres, one module for each kind of dataset."""
