"""What the systems in the lab are made of: the parts that more than one estate needs."""
