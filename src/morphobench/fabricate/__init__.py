"""Fabricated copies of published raw datasets: the same layout, cells made up from a seed.

Files, channels, columns and how each class of cells looks are data: `config/buckets/<name>.yaml`. Stage
`download` reads a copy as it reads the published dataset.
"""
