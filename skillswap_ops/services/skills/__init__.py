"""Skills & matching: who teaches or learns what, found by words, level, language and place."""
