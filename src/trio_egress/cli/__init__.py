"""The command line: arguments to one library call to an exit status."""
