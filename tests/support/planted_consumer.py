"""`python -m tests.support.planted_consumer`: the consumer's command, with the planted kinds known to it."""

import sys

from consumer.__main__ import main
from shared.command import run
from shared.models.directory import KINDS
from tests.support.unstable import PLANTED

if __name__ == "__main__":
    KINDS.update({scorer.kind: scorer for scorer in PLANTED})
    sys.exit(run(main, sys.argv[1:]))
