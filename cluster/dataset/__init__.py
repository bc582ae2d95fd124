"""A made-up SkillSwap: people and all that they do, drawn from a seed number. Pure, no engine."""
