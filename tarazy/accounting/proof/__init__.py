"""What a distribution is proven with: the chain over the shares, the trees of a round, exports and receipts."""
