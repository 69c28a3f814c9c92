-- The folds run some ten times a second: their statements are read and planned once a connection, no longer at every run.
-- The text of each stays what it was; a fold that is given a new text should be plpgsql as well.

CREATE OR REPLACE FUNCTION crm.events_of(ids uuid[]) RETURNS SETOF crm.events LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    since timestamptz := (SELECT min(crm.call_time(id)) - interval '1 day' FROM unnest(ids) AS id);
BEGIN  -- where there are many partitions each run is planned for its own time: older ones are not looked at
    RETURN QUERY SELECT DISTINCT ON (e.call_id, e.seq) e.* FROM crm.events AS e
        WHERE e.call_id = ANY (ids) AND e.at >= since ORDER BY e.call_id, e.seq, e.event_id;
END $$;

DO $$
DECLARE
    fold record;
BEGIN
    FOR fold IN
        SELECT p.proname AS name, p.prosrc AS text
        FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
        WHERE p.pronamespace = 'crm'::regnamespace AND p.proname LIKE 'fold\_%' AND l.lanname = 'sql'
    LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION crm.%I(ids uuid[]) RETURNS void LANGUAGE plpgsql AS %L',
                       fold.name, 'BEGIN' || rtrim(fold.text, E'; \n') || E';\nEND');
    END LOOP;
END $$;
