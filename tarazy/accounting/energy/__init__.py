"""Energy: readings of meters, intervals derived from them, and their division among the parties of a site."""
