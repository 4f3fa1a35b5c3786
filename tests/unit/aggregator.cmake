if(TARGET aggregator_core)
  unit_test(aggregator aggregator_day.c aggregator_day_cache.c aggregator_held.c aggregator_identity.c
            aggregator_keyset.c aggregator_rollup_list.c aggregator_row.c aggregator_uniques.c aggregator_worklist.c LIBS aggregator_core)
endif()
