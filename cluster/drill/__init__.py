"""The drill core: load, ledger, faults with undo, checkers, verdict, evidence. Knows no engine."""
