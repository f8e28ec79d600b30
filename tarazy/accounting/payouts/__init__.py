"""Payouts: what is due goes into batches, and each batch is settled by exactly one confirmed transaction."""
