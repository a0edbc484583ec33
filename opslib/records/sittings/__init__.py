"""A sitting's record: kept by the kernel itself, cell by cell."""
