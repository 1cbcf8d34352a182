"""What main.py makes of its options."""

import argparse

from gluonvision.runs import command_line


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    command_line.add_arguments(parser)
    return command_line.parse(parser, arguments)
