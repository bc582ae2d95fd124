"""Files: what is known about each in MEDIA, the bytes in the object store."""
