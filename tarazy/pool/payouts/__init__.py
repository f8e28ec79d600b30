"""Payouts' shell: the node's wallet, the checks of what is signed, the payer, and what the registers say."""
