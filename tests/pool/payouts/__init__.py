"""Payouts against a node process whose chain Bitcoin Core's consensus engine keeps."""
