"""Tests of what becomes of the coins."""
