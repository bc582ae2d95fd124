"""Notifications: a journal that is kept for 90 days, and a provider that delivers."""
