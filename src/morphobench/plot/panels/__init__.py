"""Panels of figures, one module per kind, each with two functions.

`tables(inputs, context)` chooses the panel's own tables out of those the figure was given and raises
`Missing` with the reason where there is nothing to draw; `draw(part, tables, context)` draws them, and
nothing else, into its part of the page. In between, the figure writes the tables as CSV under the panel's
letter. A kind may also have `pages(tables, context, title)`: pages for a browser, by name.
"""
