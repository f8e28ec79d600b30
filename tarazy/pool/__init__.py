"""The running server: chain, templates, blocks, roles and the command line."""
