"""Published preprocessed cells as shards of stage `sample`: volumes where they lie, clouds gathered."""
