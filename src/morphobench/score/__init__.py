"""Stage `score`: metrics of every model, their intervals and differences."""
