"""The checkers put to the test: defects planted into a copy of a run, each to be found."""
