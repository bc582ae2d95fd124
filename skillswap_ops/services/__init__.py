"""The reference services: `python -m skillswap_ops.services NAME --config FILE`."""
