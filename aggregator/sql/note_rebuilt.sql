-- A day was rebuilt: $1 date, $2 whether it is over, $3 how long that took in us, $4 and $5 the rows of other programs as it saw them.
SELECT tallymill.note_rebuilt($1::date, $2::boolean, $3::bigint, $4::bigint, $5::bigint)
