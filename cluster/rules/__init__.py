"""What must hold between the fields of a topology: pure functions, one file a subject.

Each rule's docstring says why it is there and where the number or the prohibition comes from.
"""
