"""Rooms' common ground, which knows no science: folders, files, the discovery of plug-ins."""
