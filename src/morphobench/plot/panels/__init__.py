"""Panels of figures, one module per kind, each with two functions.

`tables(inputs, context)` selects the panel's tables from the figure's and raises `EmptyPanel` with the reason
where there is nothing to draw; `draw(part, tables, context)` draws these alone into its part of the page. In
between, the figure writes the tables as CSV under the panel's letter. A kind may also have
`pages(tables, context, title)`: pages for a browser, by name.
"""
