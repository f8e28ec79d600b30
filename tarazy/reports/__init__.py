"""Documents built from stored records: content, gathering, canonical JSON, rendering, language."""
