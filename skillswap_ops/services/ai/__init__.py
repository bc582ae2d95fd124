"""AI: conversations with an agent, kept; the thinking is a provider's."""
