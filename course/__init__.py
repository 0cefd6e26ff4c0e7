"""What a course makes of the project: the hand-in, the starter for students, the autograder."""
