"""Cases before a state body: what happened, what may come next, by when, and what a decision enters in a register.

The pool keeps a case for a permit of a party, for its own accreditation or for its renewal. The applicant's steps
are its own or the party's; the provider's, the reviewing body's and the court's are recorded as they become known.
"""
