"""Delivery of documents to an authority: what is approved goes out of an outbox until there is a receipt."""
