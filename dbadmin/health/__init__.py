"""Whether databases are well: gathering and judging are apart, and unknown is never green."""
