"""What becomes of the coins: their value in tenge, their sale, the record of what was distributed."""
