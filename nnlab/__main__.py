"""`python -m nnlab`, the form that torchrun starts."""

from nnlab.cli import main

if __name__ == "__main__":
    main()
