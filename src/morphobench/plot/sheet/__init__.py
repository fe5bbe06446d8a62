"""Contact sheets, one module for each kind of dataset: `views` of a cell, and `draw`."""
