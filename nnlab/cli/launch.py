"""`torchrun -m nnlab train …`: the first process is the command, the others work for it.

They read nothing of the command line, so that an error in it is reported once.
"""

import os
import sys
import warnings

from nnlab.cli import main


def launch() -> None:
    """Runs the command, as the process that torchrun started this one as, if it did."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        main()
    elif os.environ["RANK"] == "0":
        _leave(_lead())
    else:
        _leave(_follow())


def _lead() -> int:
    """The command itself; returns its exit code."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if command != "train":
        print(f"nnlab: torchrun is for nnlab train, not for nnlab {command or ''}", file=sys.stderr)
        return 2
    try:
        main()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    if code == 0:  # at any other, torchrun ends the others
        from nnlab.training import distributed

        distributed.dismiss()
    return code


def _follow() -> int:
    """Helps the first process to the end of its work; returns an exit code.

    0 after an error that the first process reports: at any other code torchrun would kill that process,
    perhaps before its report.
    """
    warnings.simplefilter("ignore")  # the first process gives the same ones
    from nnlab.cli.run import new_session
    from nnlab.lab import runner
    from nnlab.training import distributed

    world = distributed.called()
    message = None if world is None else runner.assist(new_session(quiet=True, world=world))
    if message is None:
        return 0
    print(f"nnlab: {message}", file=sys.stderr)
    return 1


def _leave(code: int) -> None:
    """Ends the process at once: gloo's threads now and then abort one that ends in the ordinary way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
