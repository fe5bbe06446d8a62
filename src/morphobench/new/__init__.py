"""A data set of a user's own: what lies in a folder or table, written as a configuration that runs."""
