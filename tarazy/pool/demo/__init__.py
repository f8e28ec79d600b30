"""The demonstration: the whole job on one machine, with invented parties on a worthless chain."""
