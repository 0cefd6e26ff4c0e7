"""What a course makes of the project: the hand-in."""
