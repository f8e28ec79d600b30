"""The agent of a site: reads its meters and pushes what they showed to the pool."""
