-- What flows read and write beside the call: orders, callbacks, survey answers, voicemails, PINs of customers.

CREATE TABLE crm.orders (
    order_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference   text NOT NULL UNIQUE,
    customer_id bigint REFERENCES crm.customers ON DELETE SET NULL,
    status      text NOT NULL,
    due         date,
    amount      numeric(14, 2),
    currency    text CHECK (currency ~ '^[A-Z]{3}$'),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_customer ON crm.orders (customer_id, updated_at DESC) WHERE customer_id IS NOT NULL;
COMMENT ON TABLE  crm.orders IS 'Orders that callers ask about; filled by the installation, read by lookups of flows.';
COMMENT ON COLUMN crm.orders.order_id IS 'Key.';
COMMENT ON COLUMN crm.orders.reference IS 'What the customer knows it by, and can press: digits.';
COMMENT ON COLUMN crm.orders.customer_id IS 'Whose; null: not known.';
COMMENT ON COLUMN crm.orders.status IS 'open, shipped, delivered, cancelled, or what the installation likes.';
COMMENT ON COLUMN crm.orders.due IS 'Day on which it is promised.';
COMMENT ON COLUMN crm.orders.amount IS 'What it costs.';
COMMENT ON COLUMN crm.orders.currency IS 'Of the amount: ISO 4217, as IDR.';
COMMENT ON COLUMN crm.orders.updated_at IS 'When the row was last changed.';

CREATE TABLE crm.customer_pins (
    customer_id  bigint PRIMARY KEY REFERENCES crm.customers ON DELETE CASCADE,
    pin_hash     text NOT NULL,
    failed       integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    changed_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  crm.customer_pins IS 'What a caller must know to be believed that he is this customer.';
COMMENT ON COLUMN crm.customer_pins.customer_id IS 'Whose.';
COMMENT ON COLUMN crm.customer_pins.pin_hash IS 'argon2id.';
COMMENT ON COLUMN crm.customer_pins.failed IS 'Tries since the last right one. A try counts before it is judged, so that many at once are not free.';
COMMENT ON COLUMN crm.customer_pins.locked_until IS 'No try before then; null: may try.';
COMMENT ON COLUMN crm.customer_pins.changed_at IS 'When the PIN was set.';

-- Folded from events, as the tables of 0003: no foreign keys, no checks.

CREATE TABLE crm.callbacks (
    callback_id  uuid PRIMARY KEY,
    call_id      uuid NOT NULL,
    queue        text,
    number       text,
    entered      text,
    requested_at timestamptz NOT NULL,
    state        text NOT NULL DEFAULT 'open',
    customer_id  bigint
);
CREATE INDEX callbacks_open ON crm.callbacks (queue, requested_at) WHERE state = 'open';
CREATE INDEX callbacks_call ON crm.callbacks (call_id);
COMMENT ON TABLE  crm.callbacks IS 'Callers who want to be called back.';
COMMENT ON COLUMN crm.callbacks.callback_id IS 'Key; follows from the call and the event, so a fold makes the same one again.';
COMMENT ON COLUMN crm.callbacks.call_id IS 'The call in which it was asked for.';
COMMENT ON COLUMN crm.callbacks.queue IS 'Who is to call back.';
COMMENT ON COLUMN crm.callbacks.number IS 'E.164.';
COMMENT ON COLUMN crm.callbacks.entered IS 'As the caller pressed it, or his own number as received.';
COMMENT ON COLUMN crm.callbacks.requested_at IS 'When.';
COMMENT ON COLUMN crm.callbacks.state IS 'open until somebody has seen to it; a fold leaves it as it is.';
COMMENT ON COLUMN crm.callbacks.customer_id IS 'The customer of the call; null: not known.';

CREATE TABLE crm.survey_answers (
    call_id  uuid NOT NULL,
    seq      integer NOT NULL,
    survey   text,
    question text,
    answer   text,
    agent    text,
    at       timestamptz NOT NULL,
    PRIMARY KEY (call_id, seq)
);
CREATE INDEX survey_answers_at ON crm.survey_answers (at);
COMMENT ON TABLE  crm.survey_answers IS 'What callers answered, one row a question.';
COMMENT ON COLUMN crm.survey_answers.call_id IS 'The call.';
COMMENT ON COLUMN crm.survey_answers.seq IS 'seq of the event: the order of the answers.';
COMMENT ON COLUMN crm.survey_answers.survey IS 'Name in surveys.yaml.';
COMMENT ON COLUMN crm.survey_answers.question IS 'Id of the question there.';
COMMENT ON COLUMN crm.survey_answers.answer IS 'The key that was pressed.';
COMMENT ON COLUMN crm.survey_answers.agent IS 'Who talked last to the caller before; null: nobody.';
COMMENT ON COLUMN crm.survey_answers.at IS 'When.';

CREATE TABLE crm.voicemails (
    call_id      uuid NOT NULL,
    seq          integer NOT NULL,
    box          text,
    recording_id text,
    file         text,
    seconds      double precision,
    at           timestamptz NOT NULL,
    PRIMARY KEY (call_id, seq)
);
CREATE INDEX voicemails_at ON crm.voicemails (at);
COMMENT ON TABLE  crm.voicemails IS 'Messages that callers left.';
COMMENT ON COLUMN crm.voicemails.call_id IS 'The call.';
COMMENT ON COLUMN crm.voicemails.seq IS 'seq of the event.';
COMMENT ON COLUMN crm.voicemails.box IS 'Name in voicemail.yaml; fallback: Asterisk took it while no server answered.';
COMMENT ON COLUMN crm.voicemails.recording_id IS 'The recording (v_recordings) that holds it; null: `file` does.';
COMMENT ON COLUMN crm.voicemails.file IS 'Of the fallback: file in the home''s voicemail folder.';
COMMENT ON COLUMN crm.voicemails.seconds IS 'How long.';
COMMENT ON COLUMN crm.voicemails.at IS 'When it was left.';

CREATE FUNCTION crm.fold_wishes(ids uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO crm.callbacks AS b (callback_id, call_id, queue, number, entered, requested_at, customer_id)
    SELECT md5(e.call_id || ':' || e.seq)::uuid, e.call_id, e.queue, nullif(e.data ->> 'number', ''),
        e.data ->> 'entered', e.at, c.customer_id
    FROM crm.events_of(ids) AS e LEFT JOIN crm.calls AS c ON c.call_id = e.call_id
    WHERE e.type = 'callback.requested'
    ON CONFLICT (callback_id) DO UPDATE SET
        (queue, number, entered, requested_at, customer_id) =
        ROW (EXCLUDED.queue, EXCLUDED.number, EXCLUDED.entered, EXCLUDED.requested_at,
             coalesce(EXCLUDED.customer_id, b.customer_id));
    INSERT INTO crm.survey_answers (call_id, seq, survey, question, answer, agent, at)
    SELECT call_id, seq, data ->> 'survey', data ->> 'question', data ->> 'answer', agent, at
    FROM crm.events_of(ids) WHERE type = 'survey.answered'
    ON CONFLICT (call_id, seq) DO UPDATE SET
        (survey, question, answer, agent, at) =
        ROW (EXCLUDED.survey, EXCLUDED.question, EXCLUDED.answer, EXCLUDED.agent, EXCLUDED.at);
    INSERT INTO crm.voicemails (call_id, seq, box, recording_id, file, seconds, at)
    SELECT call_id, seq, data ->> 'box', nullif(data ->> 'recording_id', ''), nullif(data ->> 'file', ''),
        crm.num(data -> 'seconds'), at
    FROM crm.events_of(ids) WHERE type = 'voicemail.left'
    ON CONFLICT (call_id, seq) DO UPDATE SET
        (box, recording_id, file, seconds, at) =
        ROW (EXCLUDED.box, EXCLUDED.recording_id, EXCLUDED.file, EXCLUDED.seconds, EXCLUDED.at);
$$;
COMMENT ON FUNCTION crm.fold_wishes IS
    'Recomputes crm.callbacks, survey_answers and voicemails of these calls; the fold of the calls themselves comes first.';

CREATE OR REPLACE FUNCTION crm.fold_calls(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crm.fold'));  -- two folds at once would not see each other's events
    PERFORM crm.fold_visits(ids);
    PERFORM crm.fold_offers(ids);
    PERFORM crm.fold_recordings(ids);
    PERFORM crm.fold_call_rows(ids);
    PERFORM crm.fold_wishes(ids);
END $$;

-- What was said before these tables were there.
SELECT crm.fold_wishes(array_agg(DISTINCT call_id)) FROM crm.events
WHERE call_id IS NOT NULL AND type IN ('callback.requested', 'survey.answered', 'voicemail.left')
HAVING count(*) > 0;

CREATE VIEW crm.v_orders AS
    SELECT order_id, reference, customer_id, status, due, amount, currency, updated_at FROM crm.orders;
COMMENT ON VIEW crm.v_orders IS 'Orders that callers ask about.';
CREATE VIEW crm.v_callbacks AS
    SELECT callback_id, call_id, queue, number, entered, requested_at, state, customer_id FROM crm.callbacks;
COMMENT ON VIEW crm.v_callbacks IS 'Callers who want to be called back.';
CREATE VIEW crm.v_survey_answers AS
    SELECT call_id, seq, survey, question, answer, agent, at FROM crm.survey_answers;
COMMENT ON VIEW crm.v_survey_answers IS 'What callers answered, one row a question.';
CREATE VIEW crm.v_voicemails AS
    SELECT call_id, seq, box, recording_id, file, seconds, at FROM crm.voicemails;
COMMENT ON VIEW crm.v_voicemails IS 'Messages that callers left.';
SELECT crm.comment_views();

-- Lookups of flows run as a role that can read the CRM and the views, and nothing else: no password, secret or PIN.
-- The role belongs to the whole server, so another home's database may have made it; who may make none goes without
-- (`cti doctor` says so), and lookups then run in a read-only transaction of the server's own account.
DO $$
BEGIN
    BEGIN
        IF to_regrole('cti_lookup') IS NULL THEN
            CREATE ROLE cti_lookup LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;
        END IF;
    EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
        NULL;
    END;
    IF to_regrole('cti_lookup') IS NULL THEN
        RETURN;
    END IF;
    BEGIN  -- a superuser may become anybody; others must be members to run lookups as the role
        IF NOT pg_has_role(current_user, 'cti_lookup', 'MEMBER') THEN
            EXECUTE format('GRANT cti_lookup TO %I', current_user);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    BEGIN  -- what a caller pressed is in no log of the database, also when it does not fit; for a superuser to say
        IF NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = to_regrole('cti_lookup')) THEN
            ALTER ROLE cti_lookup SET log_min_messages = fatal;
            ALTER ROLE cti_lookup SET log_statement = none;
            ALTER ROLE cti_lookup SET log_min_duration_statement = -1;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    GRANT USAGE ON SCHEMA crm TO cti_lookup;
    GRANT SELECT ON
        crm.customers, crm.customer_numbers, crm.cases, crm.notes, crm.consents, crm.orders, crm.callbacks,
        crm.survey_answers, crm.voicemails,
        crm.v_calls, crm.v_queue_visits, crm.v_offers, crm.v_call_events, crm.v_agent_states, crm.v_attempts,
        crm.v_recordings, crm.v_orders, crm.v_callbacks, crm.v_survey_answers, crm.v_voicemails
    TO cti_lookup;
END $$;
