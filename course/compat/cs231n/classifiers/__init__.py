"""The networks of cs231n, as networks of this project."""
