"""One attempt at a run: the loop, what it says, and what watches over it."""
