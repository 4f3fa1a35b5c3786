/* oid.h - the numbers of Postgres's own types, for parameters and results in binary. Fixed since they were given:
 * catalog/pg_type.dat in PostgreSQL's sources.
 */
#ifndef TALLYMILL_COMMON_OID_H
#define TALLYMILL_COMMON_OID_H

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_TIMESTAMPTZ = 1184,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,

    OID_BOOL_ARRAY = 1000,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_TIMESTAMPTZ_ARRAY = 1185,
    OID_UUID_ARRAY = 2951,
    OID_JSONB_ARRAY = 3807,
};

#endif
