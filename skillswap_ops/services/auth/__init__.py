"""Auth & users: accounts, log-ins, profiles, roles, and what RGPD asks."""
