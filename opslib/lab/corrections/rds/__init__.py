"""RDS on the lab's PostgreSQL: clusters, instances, replicas, snapshots and restores."""
