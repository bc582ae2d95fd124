"""Virtual classroom: who may enter the room of a session; the room is a provider's."""
