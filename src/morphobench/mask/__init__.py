"""Stage `mask`: keep what lies inside the mask of each cell, one module for each kind of dataset."""
