"""The commands of ``python -m gluonvision``: a module each, which its name on the command line has.

A module has ``add_arguments(parser)`` and ``run(options)``, which returns an exit code or None for
0, and may have ``parse(parser, arguments)`` where argparse's own way does not do. Its docstring is
its help. What a user can mend is raised as ValueError, OSError or an error of this package.
"""
