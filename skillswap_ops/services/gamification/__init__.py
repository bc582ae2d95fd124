"""Gamification: points for what people did, monthly rankings, badges."""
