"""ECS: services that start, drain and crash their tasks, and stop reasons as AWS words them."""
