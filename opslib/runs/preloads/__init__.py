"""What the process that kernels are forked from imports, for one run or for many."""
