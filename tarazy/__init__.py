"""Tarazy: the server of an accredited Bitcoin mining pool in Kazakhstan."""
