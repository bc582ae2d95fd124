"""Payments & subscriptions: intents, invoices, subscriptions, entitlements, all in PostgreSQL."""
