"""Stage `download`: pack, cut or fetch the raw cells of a dataset, one module per kind."""
