"""Generated furnished rooms: what stands in them, where, and what a hand-held RGB-D camera sees of it."""
