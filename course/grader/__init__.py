"""The autograder: a judge, and a process of its own for each part of a student's code."""
