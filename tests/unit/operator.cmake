unit_test(operator operator_terminal.c operator_table.c operator_command.c operator_day_range.c operator_schema.c operator_finding.c
  LIBS operator_core)
