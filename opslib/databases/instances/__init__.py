"""RDS instances and clusters: class, storage, replicas, snapshots, restores."""
