"""How a run becomes a record: its kernel, its journal, its file, its row, its end. What others use is in records and runs."""
