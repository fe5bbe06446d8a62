"""Fabricated copies of published raw datasets: the same layout, cells made up from a seed.

What stands in a copy, files, channels, columns and how each class of cells looks, is data:
`config/buckets/<name>.yaml`. Stage `download` reads a copy as it reads the published dataset.
"""
