-- Roles, the schema, and what was applied to it. `tallymill migrate` runs each numbered file in one transaction and notes it in tallymill.schema_version.

-- Group roles. They belong to the whole server, so another database may have made them already.
DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['tallymill_admin', 'tallymill_ingest', 'tallymill_aggregate', 'tallymill_read'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
  -- An ordinary owner of the database must be a member to hand objects over (a superuser is one of everything). From 16 on the maker
  -- of a role may only administer it until it grants it to itself. Refused: somebody else made the roles; SET ROLE below says whether that will do.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    BEGIN
      EXECUTE format('GRANT tallymill_admin TO %I', current_user);
    EXCEPTION WHEN insufficient_privilege THEN
      NULL;
    END;
  END IF;
END
$$;

CREATE SCHEMA tallymill AUTHORIZATION tallymill_admin;
GRANT CREATE, USAGE ON SCHEMA public TO tallymill_admin;
GRANT tallymill_read TO tallymill_aggregate;

SET ROLE tallymill_admin;

GRANT USAGE ON SCHEMA tallymill TO tallymill_ingest, tallymill_aggregate, tallymill_read;

-- One row for each applied numbered file. min_program: how many of them a program must know to run on this schema.
CREATE TABLE tallymill.schema_version (
  version     integer PRIMARY KEY,
  name        text NOT NULL,
  checksum    text NOT NULL,
  min_program integer NOT NULL,
  applied_at  timestamptz NOT NULL DEFAULT now()
);

-- One row for each file of functions/ and views/, as it was applied last. release: of the `tallymill` that did it; earlier: the checksums of the texts that it had
-- before, by which a program of an older release knows that the database has gone on from its own.
CREATE TABLE tallymill.schema_objects (
  name       text PRIMARY KEY,
  checksum   text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  release    text NOT NULL DEFAULT '',
  earlier    text[] NOT NULL DEFAULT '{}'
);

GRANT SELECT ON tallymill.schema_version, tallymill.schema_objects TO tallymill_ingest, tallymill_aggregate, tallymill_read;

RESET ROLE;
