"""Records: the files of runs on disk."""
