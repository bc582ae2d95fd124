"""Sessions: who meets whom and when, the write chain beside them, and reminders."""
