"""The largest batch that fits into the memory of the device, by trying."""

import gc
import re
import time
from collections.abc import Callable

import torch

from nnlab.memory import in_words

FEWEST = 2  # batch norm has no statistics of a single example


def out_of_memory(error: BaseException) -> str | None:
    """The memory that an error was about, in words; None for other errors.

    torch has an exception class of its own for CUDA alone.
    """
    text = " ".join(str(error).split())
    telling = re.search("out of memory|can't allocate memory|bad_alloc|bad allocation", text, re.IGNORECASE)
    if not (isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and telling)):
        return None
    if match := re.search(r"you tried to allocate (\d+) bytes", text):  # the CPU's
        return f"no room for {in_words(int(match[1]))} more"
    if match := re.search(r"Tried to allocate (.+? is free)\.", text):  # CUDA's, which goes on for long
        return f"tried to allocate {match[1]}"
    return text[:300] or type(error).__name__


def largest_batch(attempt: Callable[[int], object], fails: int, seconds: float = 20.0) -> int:
    """The largest number of examples found for which `attempt` has the memory it needs.

    Doubles the number until memory runs out, then halves the gap until it is an eighth of what fits. A try
    that would take too long, by the time of the last one, is not made.

    Args:
        attempt: computes on so many examples.
        fails: what is known not to fit.
        seconds: for all tries together.

    Returns:
        Less than `fails`; 0 where nothing fits.
    """
    end = time.monotonic() + seconds
    fits, tried = 0, min(FEWEST, fails - 1)
    while fails - fits > max(1, fits // 8):
        began = time.monotonic()
        if fits_in_memory(attempt, tried):
            fits = tried
        elif fits:
            fails = tried
        else:
            break
        if time.monotonic() + 2 * (time.monotonic() - began) > end:
            break
        tried = min(2 * fits, (fits + fails) // 2)
    return fits


def fits_in_memory(attempt: Callable[[int], object], examples: int) -> bool:
    """Tells whether `attempt` has the memory it needs for so many examples."""
    gc.collect()  # what a failed try left in cycles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        attempt(examples)
    except (RuntimeError, MemoryError):  # also errors that hide their reason: "could not create a primitive"
        return False
    return True
