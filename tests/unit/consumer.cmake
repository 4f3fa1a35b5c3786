if(TARGET consumer_core)
  unit_test(consumer consumer_event.c consumer_transcode.c consumer_corpus.c consumer_json_text.c consumer_start.c consumer_flood.c consumer_connection.c consumer_memory_shares.c consumer_failure.c consumer_failure_plan.c consumer_transaction_steps.c consumer_spill.c consumer_clock_watch.c consumer_source_refusal.c consumer_source_statistics.c
            LIBS consumer_core PkgConfig::MSGPACK)
  unit_test(consumer-batch consumer_event.c consumer_batch.c LIBS consumer_core PkgConfig::MSGPACK
            -Wl,--wrap=rd_kafka_message_destroy -Wl,--wrap=rd_kafka_message_timestamp -Wl,--wrap=rd_kafka_message_headers)
  unit_test(consumer-insert consumer_insert.c LIBS consumer_core -Wl,--wrap=calloc)
  add_executable(number-driver number_driver.c)
  target_link_libraries(number-driver PRIVATE consumer_core tally_options)
endif()
