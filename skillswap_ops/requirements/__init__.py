"""The TP3 requirements as a pytest-testinfra suite that `verify` runs on the live cluster.

One test is one requirement; its docstring's first line is the requirement, with its source.
"""
