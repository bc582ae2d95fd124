"""Chat: a conversation for each session, over WebSocket, kept in MESSAGE."""
