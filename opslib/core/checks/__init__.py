"""From what is seen to what is judged: questions, signs, causes, plots."""
