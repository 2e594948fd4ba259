"""One module or folder per data set; the registry finds them by their source, and nothing imports a particular one."""
