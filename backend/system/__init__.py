"""What every room may use and knows no science: folders, files, the discovery of plug-ins."""
