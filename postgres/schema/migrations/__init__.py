"""The path from an empty schema to the catalogue's; `versions` are its stages, never edited."""
