-- What the cursor of events_csv.sql asks for: first day, the day behind the last, rows at most, name, category, user, session; '' where it does not ask for it.
SELECT set_config('tallymill.export_first', $1, true), set_config('tallymill.export_last', $2, true), set_config('tallymill.export_rows', $3, true),
       set_config('tallymill.export_name', $4, true), set_config('tallymill.export_category', $5, true), set_config('tallymill.export_user', $6, true),
       set_config('tallymill.export_session', $7, true);
