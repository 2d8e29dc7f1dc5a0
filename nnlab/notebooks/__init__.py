"""Notebooks that come with nnlab: `nnlab notebooks list`, and `nnlab notebooks copy NAME` to work with one."""
