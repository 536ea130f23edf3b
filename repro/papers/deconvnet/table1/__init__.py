"""Table 1 of the paper: measured over a split, beside what was published."""
