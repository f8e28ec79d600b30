"""Where blocks come from and go to, behind one interface."""
