"""The commands of ``gluonvision``: one module per command, with the command's name.

A module defines ``add_arguments(parser)`` and ``run(options)``, which returns the exit code (None
means 0). It may define ``parse(parser, arguments)`` to replace argparse's parsing. Its docstring
is the command's help. For mistakes of the user, it raises ValueError, OSError or an error class of
this package; the command line prints their messages without a traceback. ``shared_options`` is
not a command.
"""
