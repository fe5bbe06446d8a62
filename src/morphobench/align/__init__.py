"""Stage `align`: bring raw cells into this project's frame, one module for each kind of dataset."""
