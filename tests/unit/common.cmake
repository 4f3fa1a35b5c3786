unit_test(common common_array_text.c common_buffer.c common_copy_reader.c common_error.c common_log.c common_clock.c common_uuid.c common_nearest.c common_settings.c common_settings_file.c
          common_settings_secret.c common_settings_docs.c common_catalogue.c common_delta.c common_postgres.c common_postgres_login.c common_migrations.c common_kafka.c common_kafka_rights.c common_kafka_trouble.c common_kafka_version.c common_cli.c
          common_service.c common_failpoint.c common_utf8.c common_disk.c common_csv.c common_metrics.c common_outage.c common_http.c LIBS tally_monitor)
