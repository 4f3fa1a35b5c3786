-- Books that a trigger or a rule of somebody else keeps from being written: a BEFORE trigger that answers NULL loses a row without an error, one that answers OLD
-- an UPDATE. Whatever our functions write to the books they read again, and raise TM010 where it is not there, with the name of what keeps it out.
-- Runs in psql as it stands, after 0027.
--
-- To read again rather than to believe the row count: a row may be there and say something else. It costs an index look-up of a row that was just written.
-- Rejected: to refuse every trigger on the books (who watches them by one does no harm).

SET ROLE tallymill_admin;

-- Raises TM010: of the p_wanted rows that were written to one of the tables only p_written stand as they were written.
CREATE FUNCTION tallymill.kept_out(p_table regclass, p_wanted bigint, p_written bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whose text;
  remedy text;
BEGIN
  SELECT string_agg(f.said, ', ' ORDER BY f.said), string_agg(f.statement, ' ' ORDER BY f.said) INTO whose, remedy
  FROM (SELECT format('trigger %I (function %s)', t.tgname, t.tgfoid::regprocedure) AS said, format('ALTER TABLE %s DISABLE TRIGGER %I;', p_table, t.tgname) AS statement
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = p_table AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND p.pronamespace <> 'tallymill'::regnamespace
        UNION ALL
        SELECT format('rule %I', r.rulename), format('ALTER TABLE %s DISABLE RULE %I;', p_table, r.rulename)
        FROM pg_rewrite r WHERE r.ev_class = p_table AND r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A')) f;
  EXECUTE 'DISCARD PLANS'; -- one that was made under a DO INSTEAD NOTHING holds no table any more, and would outlive the rule
  RAISE EXCEPTION USING ERRCODE = 'TM010',
    MESSAGE = format('of %s rows of table %s Postgres took %s as they were written: %s keeps the others out, and nothing was committed',
                     p_wanted, p_table, p_written, coalesce(whose, 'something that is neither a trigger nor a rule')),
    HINT = coalesce('An owner of the table runs: ' || remedy, '');
END
$$;

-- As in 0004, and reads what it wrote.
CREATE OR REPLACE FUNCTION tallymill.commit_batch(p_batch_id bigint, p_topic text, p_partitions integer[], p_epochs bigint[],
  p_first_offsets bigint[], p_next_offsets bigint[], p_stored bigint[], p_duplicates bigint[], p_dead_letters bigint[],
  p_skipped bigint[], p_days text[], p_anchor_offsets bigint[], p_anchor_hashes bytea[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint;
  written bigint;
  refused text[] := '{}';
BEGIN
  FOR i IN 1 .. cardinality(p_partitions) LOOP
    IF i > 1 AND p_partitions[i] <= p_partitions[i - 1] THEN
      RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = 'topic partitions of a batch must be sorted and unique';
    END IF;
    SELECT o.epoch INTO held FROM tallymill.owners o
      WHERE o.topic = p_topic AND o.topic_partition = p_partitions[i] FOR UPDATE;
    IF held IS DISTINCT FROM p_epochs[i] THEN
      refused := refused || (p_partitions[i] || '/epoch');
    ELSIF tallymill.next_offset(p_topic, p_partitions[i]) <> p_first_offsets[i] THEN
      refused := refused || (p_partitions[i] || '/position');
    END IF;
  END LOOP;
  IF cardinality(refused) > 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM001',
      MESSAGE = format('batch %s of topic %s is fenced', p_batch_id, p_topic), DETAIL = array_to_string(refused, ' ');
  END IF;
  INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored,
                                 duplicates, dead_letters, skipped, days, anchor_offset, anchor_hash)
    SELECT p_batch_id, p_batch_id, p_topic, r.topic_partition, r.first_offset, r.next_offset, r.stored,
           r.duplicates, r.dead_letters, r.skipped, r.days::date[], r.anchor_offset, r.anchor_hash
    FROM unnest(p_partitions, p_first_offsets, p_next_offsets, p_stored, p_duplicates, p_dead_letters, p_skipped, p_days,
                p_anchor_offsets, p_anchor_hashes)
         AS r (topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days,
               anchor_offset, anchor_hash);
  written := 0;
  FOR i IN 1 .. cardinality(p_partitions) LOOP
    PERFORM FROM tallymill.batches b
      WHERE b.topic = p_topic AND b.topic_partition = p_partitions[i] AND b.first_offset = p_first_offsets[i]
        AND b.next_offset = p_next_offsets[i] AND b.batch_id = p_batch_id AND b.last_batch_id = p_batch_id AND b.stored = p_stored[i]
        AND b.duplicates = p_duplicates[i] AND b.dead_letters = p_dead_letters[i] AND b.skipped = p_skipped[i]
        AND b.days = p_days[i]::date[] AND b.anchor_offset IS NOT DISTINCT FROM p_anchor_offsets[i]
        AND b.anchor_hash IS NOT DISTINCT FROM p_anchor_hashes[i];
    written := written + CASE WHEN FOUND THEN 1 ELSE 0 END;
  END LOOP;
  IF written <> cardinality(p_partitions) THEN
    PERFORM tallymill.kept_out('tallymill.batches', cardinality(p_partitions), written);
  END IF;
END
$$;

-- As in 0004.
CREATE OR REPLACE FUNCTION tallymill.record_gap(p_topic text, p_partition integer, p_epoch bigint, p_next_offset bigint, p_reason text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint;
BEGIN
  SELECT o.epoch INTO held FROM tallymill.owners o
    WHERE o.topic = p_topic AND o.topic_partition = p_partition FOR UPDATE;
  IF held IS DISTINCT FROM p_epoch THEN
    RAISE EXCEPTION USING ERRCODE = 'TM001',
      MESSAGE = format('a gap in topic %s is fenced', p_topic), DETAIL = p_partition || '/epoch';
  END IF;
  PERFORM tallymill.add_gap(p_topic, p_partition, tallymill.next_offset(p_topic, p_partition), p_next_offset, p_reason);
END
$$;

-- A gap's row; the caller holds the owner's lock.
CREATE FUNCTION tallymill.add_gap(p_topic text, p_partition integer, p_first_offset bigint, p_next_offset bigint, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO tallymill.gaps (topic, topic_partition, first_offset, next_offset, reason)
    VALUES (p_topic, p_partition, p_first_offset, p_next_offset, p_reason);
  PERFORM FROM tallymill.gaps g WHERE g.topic = p_topic AND g.topic_partition = p_partition AND g.first_offset = p_first_offset
    AND g.next_offset = p_next_offset AND g.reason = p_reason;
  IF NOT FOUND THEN
    PERFORM tallymill.kept_out('tallymill.gaps', 1, 0);
  END IF;
END
$$;

-- The epochs of topic partitions of one topic (all of them: NULL) go up by one, under their locks; nobody who holds an older one passes the fence.
CREATE FUNCTION tallymill.raise_epochs(p_topic text, p_partitions integer[], p_owner text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before record;
  behind record;
BEGIN
  PERFORM 1 FROM tallymill.owners o WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions))
    ORDER BY o.topic_partition FOR UPDATE;
  SELECT count(*) AS rows, coalesce(sum(o.epoch), 0) AS epochs INTO before
    FROM tallymill.owners o WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions));
  UPDATE tallymill.owners o SET epoch = o.epoch + 1, owner = p_owner, claimed_at = clock_timestamp()
    WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions));
  SELECT count(*) AS rows, coalesce(sum(o.epoch), 0) AS epochs INTO behind
    FROM tallymill.owners o WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions));
  IF behind.rows <> before.rows OR behind.epochs <> before.epochs + before.rows
     OR (p_partitions IS NOT NULL AND before.rows <> (SELECT count(DISTINCT p) FROM unnest(p_partitions) AS p)) THEN
    PERFORM tallymill.kept_out('tallymill.owners', coalesce(cardinality(p_partitions), before.rows),
                               greatest(0, behind.epochs - before.epochs)::bigint);
  END IF;
END
$$;

-- As in 0024.
CREATE OR REPLACE FUNCTION tallymill.claim(p_topic text, p_topic_id text, p_cluster_id text, p_group text, p_owner text, p_partitions integer[])
RETURNS TABLE (topic_partition integer, epoch bigint, next_offset bigint, anchor_offset bigint, anchor_hash bytea, is_proven boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  known tallymill.clusters;
BEGIN
  INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES (p_topic, p_cluster_id, p_group) ON CONFLICT DO NOTHING;
  -- Nothing is stored yet, so nothing needs to be proven.
  UPDATE tallymill.clusters c SET topic_id = p_topic_id
    WHERE c.topic = p_topic AND c.topic_id = '' AND p_topic_id <> '' AND c.cluster_id = p_cluster_id
      AND NOT EXISTS (SELECT FROM tallymill.batches b WHERE b.topic = p_topic);
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic FOR SHARE;
  IF NOT FOUND THEN
    PERFORM tallymill.kept_out('tallymill.clusters', 1, 0);
  ELSIF known.cluster_id <> p_cluster_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM003',
      MESSAGE = format('topic %s belongs to Kafka cluster %s, this is cluster %s', p_topic, known.cluster_id, p_cluster_id),
      HINT = format('Offsets of two clusters do not compare. Give the topic on the new cluster a new name (and close the old books: tallymill topic retire %s), '
                    'or begin new books under the same name: tallymill topic renew %s.', p_topic, p_topic);
  ELSIF known.consumer_group <> p_group THEN
    RAISE EXCEPTION USING ERRCODE = 'TM002',
      MESSAGE = format('topic %s is stored by consumer group %s, not %s', p_topic, known.consumer_group, p_group),
      HINT = format('Set consumer.group=%s, or use another database.', known.consumer_group);
  ELSIF known.retired_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM008',
      MESSAGE = format('the books of topic %s were closed at %s: nothing of it is stored any more', p_topic, known.retired_at),
      HINT = format('If the topic was made anew: tallymill topic renew %s.', p_topic);
  ELSIF known.topic_id <> p_topic_id AND known.topic_id <> '' AND p_topic_id <> '' THEN
    RAISE EXCEPTION USING ERRCODE = 'TM009',
      MESSAGE = format('topic %s was deleted and made anew: its id is %s, the books are about %s', p_topic, p_topic_id, known.topic_id),
      HINT = format('To begin new books with the new topic, and close the old ones: tallymill topic renew %s.', p_topic);
  END IF;

  INSERT INTO tallymill.owners (topic, topic_partition)
    SELECT p_topic, p FROM unnest(p_partitions) AS p ORDER BY p ON CONFLICT DO NOTHING;
  PERFORM tallymill.raise_epochs(p_topic, p_partitions, p_owner);
  RETURN QUERY
    SELECT o.topic_partition, o.epoch, tallymill.next_offset(o.topic, o.topic_partition), a.anchor_offset, a.anchor_hash,
           known.topic_id <> '' AND known.topic_id = p_topic_id
    FROM tallymill.owners o
    LEFT JOIN tallymill.anchors a ON a.topic = o.topic AND a.topic_partition = o.topic_partition
    WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions)
    ORDER BY o.topic_partition;
END
$$;

-- As in 0006.
CREATE OR REPLACE FUNCTION tallymill.reset_position(p_topic text, p_partition integer, p_to_offset bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  reached bigint;
BEGIN
  INSERT INTO tallymill.owners (topic, topic_partition) VALUES (p_topic, p_partition) ON CONFLICT DO NOTHING;
  PERFORM 1 FROM tallymill.owners o WHERE o.topic = p_topic AND o.topic_partition = p_partition FOR UPDATE;
  reached := tallymill.next_offset(p_topic, p_partition);
  IF p_to_offset <= reached THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006',
      MESSAGE = format('topic partition %s of %s stands at offset %s: a reset goes forward only, not to %s',
                       p_partition, p_topic, reached, p_to_offset);
  END IF;
  PERFORM tallymill.raise_epochs(p_topic, ARRAY[p_partition], 'reset');
  PERFORM tallymill.add_gap(p_topic, p_partition, reached, p_to_offset, 'reset');
  RETURN reached;
END
$$;

-- As in 0024.
CREATE OR REPLACE FUNCTION tallymill.retire_topic(p_topic text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known tallymill.clusters;
BEGIN
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books know no topic %s', p_topic);
  ELSIF known.retired_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books of topic %s were closed before, at %s', p_topic, known.retired_at);
  END IF;
  UPDATE tallymill.clusters c SET retired_at = clock_timestamp() WHERE c.topic = p_topic;
  IF NOT EXISTS (SELECT FROM tallymill.clusters c WHERE c.topic = p_topic AND c.retired_at IS NOT NULL) THEN
    PERFORM tallymill.kept_out('tallymill.clusters', 1, 0);
  END IF;
  -- Whoever still stores it is fenced; the lock waits for its commit in flight.
  PERFORM tallymill.raise_epochs(p_topic, NULL, 'retired');
  RETURN (SELECT coalesce(sum(p.next_offset), 0) FROM tallymill.positions p WHERE p.topic = p_topic);
END
$$;

-- As in 0024. What it moves it counts: a book that stays behind under the old name would be taken for the new topic's.
CREATE OR REPLACE FUNCTION tallymill.renew_topic(p_topic text, p_topic_id text, p_cluster_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known tallymill.clusters;
  old_name text;
  book regclass;
  rows bigint;
  moved bigint;
BEGIN
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books know no topic %s', p_topic);
  ELSIF known.topic_id = p_topic_id AND p_topic_id <> '' AND known.cluster_id = p_cluster_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('topic %s is still the one that the books are about', p_topic);
  END IF;
  old_name := format('%s@%s', p_topic, known.generation);
  PERFORM pg_advisory_xact_lock(1952541804, 1);
  UPDATE tallymill.leader l SET claimed_at = l.claimed_at;
  PERFORM tallymill.raise_epochs(p_topic, NULL, 'retired');
  FOREACH book IN ARRAY ARRAY['tallymill.owners', 'tallymill.batches', 'tallymill.gaps', 'tallymill.removals', 'tallymill.dead_letters',
                              'tallymill.folded']::regclass[] LOOP
    EXECUTE format('SELECT count(*) FROM %s WHERE topic = $1', book) INTO rows USING p_topic;
    EXECUTE format('UPDATE %s SET topic = $2 WHERE topic = $1', book) USING p_topic, old_name;
    EXECUTE format('SELECT count(*) FROM %s WHERE topic = $1', book) INTO moved USING old_name;
    IF moved <> rows THEN
      PERFORM tallymill.kept_out(book, rows, moved);
    END IF;
  END LOOP;
  INSERT INTO tallymill.owners (topic, topic_partition, epoch, owner)
    SELECT p_topic, o.topic_partition, o.epoch, 'renewed' FROM tallymill.owners o WHERE o.topic = old_name;
  SELECT count(*) FILTER (WHERE o.topic = old_name), count(*) FILTER (WHERE o.topic = p_topic) INTO rows, moved
    FROM tallymill.owners o WHERE o.topic IN (old_name, p_topic);
  IF moved <> rows THEN
    PERFORM tallymill.kept_out('tallymill.owners', rows, moved);
  END IF;
  INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group, first_seen_at, topic_id, generation, retired_at)
    VALUES (old_name, known.cluster_id, known.consumer_group, known.first_seen_at, known.topic_id, known.generation,
            coalesce(known.retired_at, clock_timestamp()));
  UPDATE tallymill.clusters c SET cluster_id = p_cluster_id, topic_id = p_topic_id, generation = known.generation + 1,
                                  retired_at = NULL, first_seen_at = clock_timestamp()
    WHERE c.topic = p_topic;
  SELECT count(*) INTO moved FROM tallymill.clusters c
    WHERE (c.topic = old_name AND c.generation = known.generation AND c.retired_at IS NOT NULL)
       OR (c.topic = p_topic AND c.generation = known.generation + 1 AND c.topic_id = p_topic_id AND c.cluster_id = p_cluster_id AND c.retired_at IS NULL);
  IF moved <> 2 THEN
    PERFORM tallymill.kept_out('tallymill.clusters', 2, moved);
  END IF;
  RETURN old_name;
END
$$;

-- As in 0009. Batches of a topic partition whose row did not move would be counted twice.
CREATE OR REPLACE FUNCTION tallymill.move_folded(p_places integer[], p_next_offsets bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wanted record;
  moved bigint;
BEGIN
  -- Which topic partition has which place is asked once: the places themselves are counted anew where rows of `folded` come.
  SELECT array_agg(p.topic) AS topics, array_agg(p.topic_partition) AS numbers, array_agg(n.next_offset) AS ends, count(*) AS rows INTO wanted
    FROM unnest(p_places, p_next_offsets) AS n (place, next_offset) JOIN tallymill.places p USING (place);
  INSERT INTO tallymill.folded (topic, topic_partition, next_offset)
    SELECT * FROM unnest(wanted.topics, wanted.numbers, wanted.ends)
    ON CONFLICT (topic, topic_partition) DO UPDATE SET next_offset = excluded.next_offset;
  SELECT count(*) INTO moved FROM unnest(wanted.topics, wanted.numbers, wanted.ends) AS n (topic, number, next_offset)
    JOIN tallymill.folded f ON f.topic = n.topic AND f.topic_partition = n.number AND f.next_offset = n.next_offset;
  IF moved <> wanted.rows THEN
    PERFORM tallymill.kept_out('tallymill.folded', wanted.rows, moved);
  END IF;
END
$$;

-- The versions of days go up by one each; whoever kept one from it would keep the day's rollups as they are.
CREATE FUNCTION tallymill.raise_versions(p_days date[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before bigint;
  behind bigint;
BEGIN
  SELECT coalesce(sum(c.version), 0) INTO before FROM tallymill.changes c WHERE c.day = ANY (p_days);
  INSERT INTO tallymill.changes AS c (day, version) SELECT d, 1 FROM unnest(p_days) AS d
  ON CONFLICT (day) DO UPDATE SET version = c.version + 1;
  SELECT coalesce(sum(c.version), 0) INTO behind FROM tallymill.changes c WHERE c.day = ANY (p_days);
  IF behind <> before + cardinality(p_days) THEN
    PERFORM tallymill.kept_out('tallymill.changes', cardinality(p_days), greatest(0, behind - before));
  END IF;
END
$$;

-- As in 0010.
CREATE OR REPLACE FUNCTION tallymill.write_statistics(p_dates date[], p_names text[], p_events bigint[], p_sessions bigint[], p_users bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  changed date[];
  standing bigint;
BEGIN
  WITH written AS (
    INSERT INTO public.analytics_daily_stats AS s (date, event_name, event_count, unique_sessions, unique_users)
    SELECT * FROM unnest(p_dates, p_names, p_events, p_sessions, p_users)
    ON CONFLICT (date, event_name) DO UPDATE
    SET event_count = excluded.event_count, unique_sessions = excluded.unique_sessions, unique_users = excluded.unique_users
    WHERE (s.event_count, s.unique_sessions, s.unique_users) IS DISTINCT FROM
          (excluded.event_count, excluded.unique_sessions, excluded.unique_users)
    RETURNING s.date
  )
  SELECT array_agg(DISTINCT w.date) INTO changed FROM written w;
  SELECT count(*) INTO standing FROM unnest(p_dates, p_names, p_events, p_sessions, p_users) AS w (date, event_name, events, sessions, users)
    JOIN public.analytics_daily_stats s ON s.date = w.date AND s.event_name = w.event_name AND s.event_count = w.events
      AND s.unique_sessions = w.sessions AND s.unique_users = w.users;
  IF standing <> cardinality(p_dates) THEN
    PERFORM tallymill.kept_out('public.analytics_daily_stats', cardinality(p_dates), standing);
  END IF;
  IF changed IS NOT NULL THEN
    PERFORM tallymill.raise_versions(changed);
  END IF;
END
$$;

-- As in 0026: what it deletes and what it writes instead say the same.
CREATE OR REPLACE FUNCTION tallymill.merge_ledger(p_epoch bigint, p_from bigint, p_rows integer, OUT next_id bigint, OUT widened bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  cutoff constant timestamptz := clock_timestamp() - interval '15 minutes';
  held bigint;
  first_id bigint;
  last_id bigint;
  beyond bigint;
  around bigint;
  torn bigint;
  sums record;
BEGIN
  widened := 0;
  SELECT l.epoch INTO held FROM tallymill.leader l WHERE pg_try_advisory_xact_lock(1952541804, 1) FOR UPDATE;
  IF held IS DISTINCT FROM p_epoch THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'only the leader merges the ledger';
  END IF;

  SELECT b.batch_id INTO first_id FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id >= p_from ORDER BY b.batch_id LIMIT 1;
  -- An interval that goes on over its begin.
  SELECT max(b.last_batch_id) INTO around FROM tallymill.batches b
    WHERE b.batch_id < b.last_batch_id AND b.last_batch_id >= first_id AND b.batch_id <= first_id;
  IF around IS NOT NULL THEN
    next_id := around + 1;
  END IF;
  IF first_id IS NULL OR around IS NOT NULL THEN
    RETURN;
  END IF;
  SELECT max(o.batch_id) INTO last_id
    FROM (SELECT b.batch_id FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id >= first_id ORDER BY b.batch_id LIMIT p_rows) o;
  -- What ends it: another interval, or the tail.
  SELECT min(b.batch_id) INTO beyond FROM tallymill.batches b
    WHERE b.batch_id < b.last_batch_id AND b.last_batch_id >= first_id AND b.batch_id BETWEEN first_id AND last_id;
  SELECT least(beyond, min(b.batch_id)) INTO beyond
    FROM tallymill.batches b LEFT JOIN tallymill.folded f USING (topic, topic_partition)
    WHERE b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id
      AND (b.committed_at > cutoff OR b.next_offset > coalesce(f.next_offset, 0));
  IF beyond = first_id THEN
    RETURN;
  ELSIF beyond IS NOT NULL THEN
    SELECT b.batch_id INTO last_id FROM tallymill.batches b
      WHERE b.batch_id = b.last_batch_id AND b.batch_id >= first_id AND b.batch_id < beyond ORDER BY b.batch_id DESC LIMIT 1;
  END IF;
  FOR attempt IN 1 .. 16 LOOP
    SELECT min(greatest(r.batch_id, r.before_id)) INTO torn
      FROM (SELECT b.batch_id, b.first_offset, lag(b.batch_id) OVER runs AS before_id, lag(b.next_offset) OVER runs AS before_end
            FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id
            WINDOW runs AS (PARTITION BY b.topic, b.topic_partition ORDER BY b.first_offset)) r
      WHERE r.first_offset <> r.before_end;
    EXIT WHEN torn IS NULL;
    last_id := torn - 1;
  END LOOP;
  next_id := CASE WHEN torn IS NULL THEN last_id ELSE first_id END + 1;
  IF next_id - 1 = first_id THEN
    RETURN;
  END IF;

  WITH asked AS (
    SELECT count(*) AS rows
    FROM tallymill.batches b JOIN tallymill.folded f ON f.topic = b.topic AND f.topic_partition = b.topic_partition AND b.next_offset <= f.next_offset
    WHERE b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id AND b.committed_at <= cutoff
  ), gone AS (
    DELETE FROM tallymill.batches b USING tallymill.folded f
    WHERE f.topic = b.topic AND f.topic_partition = b.topic_partition AND b.next_offset <= f.next_offset
      AND b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id AND b.committed_at <= cutoff
    RETURNING b.*
  ), named AS (
    SELECT g.topic, g.topic_partition, array_agg(DISTINCT d.day ORDER BY d.day) AS days
    FROM gone g CROSS JOIN LATERAL unnest(g.days) AS d (day) GROUP BY 1, 2
  ), wide AS (
    INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates, dead_letters,
                                   skipped, days, anchor_offset, anchor_hash, committed_at)
    SELECT first_id, last_id, g.topic, g.topic_partition, min(g.first_offset), max(g.next_offset), sum(g.stored), sum(g.duplicates),
           sum(g.dead_letters), sum(g.skipped), coalesce(min(n.days), '{}'),
           (array_agg(g.anchor_offset ORDER BY g.first_offset DESC) FILTER (WHERE g.anchor_offset IS NOT NULL))[1],
           (array_agg(g.anchor_hash ORDER BY g.first_offset DESC) FILTER (WHERE g.anchor_offset IS NOT NULL))[1], max(g.committed_at)
    FROM gone g LEFT JOIN named n USING (topic, topic_partition)
    GROUP BY g.topic, g.topic_partition
    RETURNING *
  )
  SELECT a.rows AS asked, g.rows AS gone, g.groups, w.rows AS wide, g.said = w.said AS agree INTO sums
  FROM asked a,
       (SELECT count(*) AS rows, count(DISTINCT (g.topic, g.topic_partition)) AS groups,
               ROW (sum(g.next_offset - g.first_offset), sum(g.stored), sum(g.duplicates), sum(g.dead_letters), sum(g.skipped)) AS said FROM gone g) g,
       (SELECT count(*) AS rows,
               ROW (sum(w.next_offset - w.first_offset), sum(w.stored), sum(w.duplicates), sum(w.dead_letters), sum(w.skipped)) AS said FROM wide w) w;
  IF sums.gone <> sums.asked OR sums.wide <> sums.groups OR NOT sums.agree THEN
    PERFORM tallymill.kept_out('tallymill.batches', sums.asked + sums.groups, sums.gone + sums.wide);
  END IF;
  widened := sums.gone - sums.wide;
END
$$;

-- Days wait for a rebuild; whoever marked one before keeps its time and reason.
CREATE FUNCTION tallymill.mark_days(p_days date[], p_reasons text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  waiting bigint;
BEGIN
  INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
    SELECT n.day, clock_timestamp(), min(n.reason) FROM unnest(p_days, p_reasons) AS n (day, reason) GROUP BY n.day
    ON CONFLICT (day) DO UPDATE SET dirty_since = excluded.dirty_since, dirty_reason = excluded.dirty_reason WHERE d.dirty_since IS NULL;
  SELECT count(*) INTO waiting FROM unnest(p_days) AS n (day) JOIN tallymill.days d ON d.day = n.day AND d.dirty_since IS NOT NULL;
  IF waiting <> cardinality(p_days) THEN
    PERFORM tallymill.kept_out('tallymill.days', cardinality(p_days), waiting);
  END IF;
END
$$;

-- A day was rebuilt. Its version goes up whatever its statistics were: a row may have changed in what they do not count.
CREATE FUNCTION tallymill.note_rebuilt(p_day date, p_is_over boolean, p_took_us bigint, p_foreign_rows bigint, p_foreign_hash bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM tallymill.raise_versions(ARRAY[p_day]);
  INSERT INTO tallymill.days AS d (day, closed_at, rebuilt_at, rebuild_us, foreign_rows, foreign_hash)
    VALUES (p_day, CASE WHEN p_is_over THEN clock_timestamp() END, clock_timestamp(), p_took_us, p_foreign_rows, p_foreign_hash)
    ON CONFLICT (day) DO UPDATE
    SET closed_at = coalesce(d.closed_at, excluded.closed_at), dirty_since = NULL, dirty_reason = NULL, rebuilt_at = excluded.rebuilt_at,
        rebuild_us = excluded.rebuild_us, foreign_rows = excluded.foreign_rows, foreign_hash = excluded.foreign_hash;
  IF NOT EXISTS (SELECT FROM tallymill.days d WHERE d.day = p_day AND d.dirty_since IS NULL AND (d.closed_at IS NOT NULL OR NOT p_is_over)
                   AND d.foreign_rows IS NOT DISTINCT FROM p_foreign_rows AND d.foreign_hash IS NOT DISTINCT FROM p_foreign_hash) THEN
    PERFORM tallymill.kept_out('tallymill.days', 1, 0);
  END IF;
END
$$;

-- Takes away a day's figures of all names but these.
CREATE FUNCTION tallymill.drop_statistics(p_day date, p_names text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rest bigint;
  gone bigint;
BEGIN
  DELETE FROM public.analytics_daily_stats s WHERE s.date = p_day AND s.event_name <> ALL (p_names);
  GET DIAGNOSTICS gone = ROW_COUNT;
  SELECT count(*) INTO rest FROM public.analytics_daily_stats s WHERE s.date = p_day AND s.event_name <> ALL (p_names);
  IF rest > 0 THEN
    PERFORM tallymill.kept_out('public.analytics_daily_stats', gone + rest, gone);
  END IF;
END
$$;

-- make_month as in 0022, which notes the month that it made: a month that the books do not know is read by nobody.
ALTER FUNCTION tallymill.make_month(date) RENAME TO add_month;
CREATE FUNCTION tallymill.make_month(p_day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  is_made constant boolean := tallymill.add_month(p_day);
BEGIN
  IF NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = date_trunc('month', p_day::timestamp)::date) THEN
    PERFORM tallymill.kept_out('tallymill.months', 1, 0);
  END IF;
  RETURN is_made;
END
$$;
REVOKE ALL ON FUNCTION tallymill.add_month(date) FROM tallymill_ingest, tallymill_aggregate;

-- As in 0021. A trigger on any part of the events, at whatever depth, may make other rows than were sent: then the rows are read. Asked from the triggers, of which a
-- database has few, not from the parts.
CREATE OR REPLACE FUNCTION tallymill.add_delta(p_batch_id bigint, p_delta bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF currval('tallymill.batch_ids') <> p_batch_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the delta of batch %s is written by the transaction that commits it', p_batch_id);
  END IF;
  IF pg_table_size('tallymill.deltas') < 268435456
     AND NOT EXISTS (SELECT FROM pg_trigger t
                     WHERE NOT t.tgisinternal AND t.tgtype & 4 <> 0 AND t.tgenabled <> 'D'
                       AND (t.tgrelid = 'public.analytics_events'::regclass OR pg_partition_root(t.tgrelid) = 'public.analytics_events'::regclass))
     AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'citus') THEN
    INSERT INTO tallymill.deltas (batch_id, delta) VALUES (p_batch_id, p_delta) ON CONFLICT DO NOTHING;
    IF NOT FOUND AND EXISTS (SELECT FROM tallymill.deltas d WHERE d.batch_id = p_batch_id) THEN
      RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('batch %s has its delta', p_batch_id);
    END IF;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.kept_out(regclass, bigint, bigint), tallymill.add_gap(text, integer, bigint, bigint, text),
  tallymill.raise_epochs(text, integer[], text), tallymill.raise_versions(date[]), tallymill.mark_days(date[], text[]),
  tallymill.note_rebuilt(date, boolean, bigint, bigint, bigint), tallymill.drop_statistics(date, text[]), tallymill.make_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.kept_out(regclass, bigint, bigint), tallymill.raise_versions(date[]), tallymill.mark_days(date[], text[]),
  tallymill.note_rebuilt(date, boolean, bigint, bigint, bigint), tallymill.drop_statistics(date, text[]) TO tallymill_aggregate;
GRANT EXECUTE ON FUNCTION tallymill.make_month(date) TO tallymill_ingest, tallymill_aggregate;

RESET ROLE;
