"""What a target's file tells of an app's work: jobs and their workers, what no row names."""
