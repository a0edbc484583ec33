"""Resources that hold data, by their exact type: what a provider calls them, and nothing like it.

`aws_s3_bucket_lifecycle_configuration` holds none, though its name begins as a bucket's does. Of a
type that is not here nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator

# Types without their provider's name and `_`.
_BY_PROVIDER = {
    "aws": """
        s3_bucket s3_directory_bucket s3_object s3_bucket_object s3control_bucket
        s3tables_table s3tables_table_bucket glacier_vault
        db_instance db_snapshot db_snapshot_copy rds_cluster rds_shard_group db_cluster_snapshot
        rds_cluster_snapshot_copy dsql_cluster docdb_cluster docdb_cluster_snapshot
        docdbelastic_cluster neptune_cluster neptune_cluster_snapshot neptunegraph_graph
        redshift_cluster redshift_cluster_snapshot redshiftserverless_namespace
        redshiftserverless_snapshot dynamodb_table dynamodb_table_item keyspaces_keyspace
        keyspaces_table timestreamwrite_database timestreamwrite_table
        timestreaminfluxdb_db_instance qldb_ledger lightsail_database lightsail_bucket
        lightsail_disk simpledb_domain efs_file_system ebs_volume ebs_snapshot ebs_snapshot_copy
        fsx_backup fsx_file_cache fsx_lustre_file_system fsx_ontap_file_system
        fsx_ontap_storage_virtual_machine fsx_ontap_volume fsx_openzfs_file_system
        fsx_openzfs_snapshot fsx_openzfs_volume fsx_windows_file_system
        elasticache_cluster elasticache_replication_group elasticache_serverless_cache
        memorydb_cluster memorydb_snapshot opensearch_domain elasticsearch_domain
        opensearchserverless_collection cloudsearch_domain kendra_index
        kms_key kms_external_key kms_replica_key secretsmanager_secret ssm_parameter
        acmpca_certificate_authority cognito_user_pool cognito_identity_pool cognito_user
        directory_service_directory cloudwatch_log_group cloudwatch_log_stream
        cloudwatch_event_archive cloudtrail_event_data_store prometheus_workspace
        sqs_queue kinesis_stream kinesis_video_stream msk_cluster msk_serverless_cluster
        mq_broker ecr_repository ecrpublic_repository codecommit_repository codeartifact_domain
        codeartifact_repository backup_vault backup_logically_air_gapped_vault route53_zone
        sagemaker_feature_group customerprofiles_domain connect_instance""",
    "google": """
        storage_bucket storage_bucket_object sql_database_instance sql_database bigquery_dataset
        bigquery_table bigtable_instance bigtable_table spanner_instance spanner_database
        firestore_database filestore_instance filestore_backup filestore_snapshot compute_disk
        compute_region_disk compute_snapshot alloydb_cluster redis_instance redis_cluster
        memorystore_instance pubsub_topic pubsub_subscription kms_crypto_key
        secret_manager_secret artifact_registry_repository container_registry
        dns_managed_zone logging_project_bucket_config netapp_volume""",
    "azurerm": """
        storage_account storage_container storage_blob storage_share storage_share_file
        storage_table storage_queue storage_data_lake_gen2_filesystem mssql_server
        mssql_database mssql_managed_instance mssql_managed_database sql_server sql_database
        postgresql_server postgresql_database postgresql_flexible_server
        postgresql_flexible_server_database mysql_server mysql_database mysql_flexible_server
        mysql_flexible_database mariadb_server mariadb_database cosmosdb_account
        cosmosdb_sql_database cosmosdb_sql_container cosmosdb_mongo_database
        cosmosdb_mongo_collection cosmosdb_cassandra_keyspace cosmosdb_cassandra_table
        cosmosdb_table cosmosdb_postgresql_cluster managed_disk snapshot key_vault
        key_vault_key key_vault_secret key_vault_certificate redis_cache managed_redis
        container_registry log_analytics_workspace dns_zone private_dns_zone netapp_volume
        recovery_services_vault data_protection_backup_vault servicebus_queue servicebus_topic
        eventhub kusto_cluster kusto_database synapse_sql_pool synapse_workspace search_service""",
    "kubernetes": """
        namespace namespace_v1 persistent_volume persistent_volume_v1 persistent_volume_claim
        persistent_volume_claim_v1""",
    "digitalocean": "database_cluster database_db volume volume_snapshot spaces_bucket",
    "mongodbatlas": "cluster advanced_cluster serverless_instance flex_cluster",
    "postgresql": "database schema",
    "mysql": "database",
    "cloudflare": "r2_bucket d1_database workers_kv_namespace queue zone",
    "hcloud": "volume snapshot",
}


def _types() -> Iterator[str]:
    for provider, names in _BY_PROVIDER.items():
        yield from (f"{provider}_{name}" for name in names.split())


HOLDING = frozenset(_types())
