"""Administration & moderation: reports, bans, roles, and the journal of who did what."""
