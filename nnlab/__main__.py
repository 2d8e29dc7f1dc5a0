"""`python -m nnlab`, the form that torchrun starts."""

from nnlab.cli.launch import launch

if __name__ == "__main__":
    launch()
