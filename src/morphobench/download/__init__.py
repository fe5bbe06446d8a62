"""Stage `download`: bring a dataset's raw cells here, one module for each kind of dataset."""
