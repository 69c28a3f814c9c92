-- A clock that is set moves when a callback was asked for and when it may be tried next, in the row as in the server
-- (callback.moved); when one that was entered by hand is due is kept until it has been tried.

CREATE OR REPLACE FUNCTION crm.fold_callbacks(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.callbacks AS b
        (callback_id, call_id, queue, number, entered, requested_at, customer_id, since, priority, skills, language)
    SELECT md5(e.call_id || ':' || e.seq)::uuid, e.call_id, e.queue, nullif(e.data ->> 'number', ''),
        e.data ->> 'entered', e.at, c.customer_id, coalesce(crm.moment(e.data -> 'since'), e.at),
        coalesce(crm.int(e.data -> 'priority'), 0), coalesce(nullif(e.data -> 'skills', 'null'), '{}'),
        nullif(e.data ->> 'language', '')
    FROM crm.events_of(ids) AS e LEFT JOIN crm.calls AS c ON c.call_id = e.call_id
    WHERE e.type = 'callback.requested'
    ON CONFLICT (callback_id) DO UPDATE SET
        (queue, number, entered, requested_at, customer_id, since, priority, skills, language) =
        ROW (EXCLUDED.queue, EXCLUDED.number, EXCLUDED.entered, EXCLUDED.requested_at,
             coalesce(EXCLUDED.customer_id, b.customer_id), EXCLUDED.since, EXCLUDED.priority, EXCLUDED.skills,
             EXCLUDED.language);
    WITH e AS MATERIALIZED (
        SELECT *, crm.id(data ->> 'callback') AS callback, coalesce(data ->> 'to', '') AS made
        FROM crm.events_of(ids)
        WHERE type IN ('callback.dialed', 'callback.failed', 'callback.moved', 'callback.ended')
    ), tried AS (
        SELECT callback,
            count(DISTINCT made) FILTER (WHERE type = 'callback.failed' AND data ->> 'result' <> 'no_agent')::integer
                AS tries,
            (array_agg(data ->> 'result' ORDER BY at DESC, seq DESC) FILTER (WHERE type = 'callback.failed'))[1]
                AS last_result,
            (array_agg(coalesce(data -> 'not_before', 'null') ORDER BY at DESC, seq DESC)
                FILTER (WHERE type = 'callback.failed' OR data ? 'not_before'))[1] AS not_before,
            (array_agg(data ORDER BY at DESC, seq DESC) FILTER (WHERE type = 'callback.moved'))[1] AS moved,
            (array_agg(data -> 'requested_at' ORDER BY at DESC, seq DESC)
                FILTER (WHERE type = 'callback.moved' AND data ? 'requested_at'))[1] AS requested_at,
            coalesce(array_agg(made) FILTER (WHERE type = 'callback.dialed'), '{}')
                <@ coalesce(array_agg(made) FILTER (WHERE type = 'callback.failed'), '{}') AS idle
        FROM e GROUP BY callback
    ), over AS (  -- who was served was served, whatever else was reported
        SELECT DISTINCT ON (callback) * FROM e WHERE type = 'callback.ended'
        ORDER BY callback, data ->> 'state' <> 'done', at, seq
    )
    UPDATE crm.callbacks AS b SET
        (state, tries, last_result, not_before, requested_at, since, priority, ended_at, ended_by, served_call_id) =
        ROW (CASE WHEN over.callback IS NOT NULL THEN over.data ->> 'state'
                  WHEN b.cancelled_at IS NOT NULL THEN 'cancelled'
                  WHEN tried.idle THEN 'open' ELSE 'dialing' END,
             tried.tries, tried.last_result,
             CASE WHEN tried.not_before IS NULL THEN b.not_before  -- as it was entered
                  ELSE nullif(crm.moment(tried.not_before), to_timestamp(0)) END,
             coalesce(crm.moment(tried.requested_at), b.requested_at),
             coalesce(crm.moment(tried.moved -> 'since'), b.since),
             coalesce(crm.int(tried.moved -> 'priority'), b.priority),
             coalesce(over.at, b.cancelled_at), coalesce(nullif(over.data ->> 'by', ''), b.cancelled_by),
             CASE WHEN over.data ->> 'state' IN ('done', 'merged') THEN crm.id(over.data ->> 'to') END)
    FROM tried LEFT JOIN over ON over.callback = tried.callback
    WHERE b.callback_id = tried.callback;
END $$;
