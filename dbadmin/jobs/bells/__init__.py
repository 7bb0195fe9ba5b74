"""The queues that carry the bells: rows of the catalogue, or Redis."""
