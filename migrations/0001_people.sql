-- People, their phones, their sessions; who did what; who leads.

CREATE TABLE crm.users (
    user_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.-]{1,40}$'),
    display_name  text NOT NULL DEFAULT '',
    role          text NOT NULL CHECK (role IN ('agent', 'supervisor', 'admin')),
    password_hash text,
    language      text,
    station       text,
    disabled_at   timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_name ON crm.users (lower(name));
COMMENT ON TABLE  crm.users IS 'Everybody who may log in. Rows are never deleted, so a login name is never reused.';
COMMENT ON COLUMN crm.users.user_id IS 'Inner key; the API speaks of the login name.';
COMMENT ON COLUMN crm.users.name IS 'Login name; the id of the agent everywhere; unique whatever the case of its letters.';
COMMENT ON COLUMN crm.users.display_name IS 'As people read it, any script.';
COMMENT ON COLUMN crm.users.role IS 'agent, supervisor or admin; each may what the ones before it may.';
COMMENT ON COLUMN crm.users.password_hash IS 'argon2id; null: cannot log in with a password.';
COMMENT ON COLUMN crm.users.language IS 'Language of the pages that he chose: en, zh, id; null: what his browser says.';
COMMENT ON COLUMN crm.users.station IS 'Number of the usual phone; null: chosen at sign-on.';
COMMENT ON COLUMN crm.users.disabled_at IS 'Since when the user may not log in; null: may.';
COMMENT ON COLUMN crm.users.created_at IS 'When the row was made.';

CREATE TABLE crm.agent_skills (
    user_id bigint NOT NULL REFERENCES crm.users,
    skill   text NOT NULL CHECK (skill ~ '^[A-Za-z0-9_.-]{1,40}$'),
    level   integer NOT NULL CHECK (level BETWEEN 1 AND 9),
    PRIMARY KEY (user_id, skill)
);
COMMENT ON TABLE  crm.agent_skills IS 'What an agent can do, and how well.';
COMMENT ON COLUMN crm.agent_skills.user_id IS 'The agent.';
COMMENT ON COLUMN crm.agent_skills.skill IS 'Name of the skill, as queues ask for it.';
COMMENT ON COLUMN crm.agent_skills.level IS '1 (some) to 9 (best); no row: not at all.';

CREATE TABLE crm.stations (
    number     text PRIMARY KEY CHECK (number ~ '^[0-9]{1,10}$'),
    secret     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  crm.stations IS 'Our phones.';
COMMENT ON COLUMN crm.stations.number IS 'Its number and SIP user name.';
COMMENT ON COLUMN crm.stations.secret IS 'SIP secret of the desk phone, in clear: Asterisk needs it so.';
COMMENT ON COLUMN crm.stations.created_at IS 'When the row was made.';

ALTER TABLE crm.users ADD FOREIGN KEY (station) REFERENCES crm.stations;

CREATE TABLE crm.sessions (
    token_sha256 bytea PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES crm.users,
    ip           text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_user ON crm.sessions (user_id);
COMMENT ON TABLE  crm.sessions IS 'Logins of browsers.';
COMMENT ON COLUMN crm.sessions.token_sha256 IS 'SHA-256 of the cookie; the cookie itself is never stored.';
COMMENT ON COLUMN crm.sessions.user_id IS 'Who logged in.';
COMMENT ON COLUMN crm.sessions.ip IS 'From where.';
COMMENT ON COLUMN crm.sessions.created_at IS 'When.';
COMMENT ON COLUMN crm.sessions.expires_at IS 'Not valid from then on.';

CREATE TABLE crm.api_tokens (
    token_sha256 bytea PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES crm.users,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz
);
CREATE INDEX api_tokens_user ON crm.api_tokens (user_id);
COMMENT ON TABLE  crm.api_tokens IS 'Tokens for programs (Authorization: Bearer).';
COMMENT ON COLUMN crm.api_tokens.token_sha256 IS 'SHA-256 of the token; the token itself is never stored.';
COMMENT ON COLUMN crm.api_tokens.user_id IS 'In whose name.';
COMMENT ON COLUMN crm.api_tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN crm.api_tokens.expires_at IS 'Not valid from then on; null: for ever.';

CREATE TABLE crm.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text NOT NULL,
    action   text NOT NULL,
    object   text NOT NULL DEFAULT '',
    detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at ON crm.audit (at);
COMMENT ON TABLE  crm.audit IS 'Who did what; append-only.';
COMMENT ON COLUMN crm.audit.audit_id IS 'Inner key, rising.';
COMMENT ON COLUMN crm.audit.at IS 'When.';
COMMENT ON COLUMN crm.audit.actor IS 'Login name, or the operating system user of the command line.';
COMMENT ON COLUMN crm.audit.action IS 'What: noun.verb, as recording.played.';
COMMENT ON COLUMN crm.audit.object IS 'To what: its id.';
COMMENT ON COLUMN crm.audit.detail IS 'What else matters; never a secret.';

CREATE TABLE crm.leader (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch    bigint NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO crm.leader (epoch) VALUES (0);
COMMENT ON TABLE  crm.leader IS 'One row: which start of the leading server is the present one.';
COMMENT ON COLUMN crm.leader.one IS 'Always true: there is one row.';
COMMENT ON COLUMN crm.leader.epoch IS 'Rises at every start; part of every ChannelId we choose.';
COMMENT ON COLUMN crm.leader.taken_at IS 'When the present leader started.';

CREATE FUNCTION crm.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on crm.% is not allowed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
COMMENT ON FUNCTION crm.refuse_change IS 'Keeps append-only tables append-only and login names unused.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON crm.audit
    FOR EACH ROW EXECUTE FUNCTION crm.refuse_change();
CREATE TRIGGER never_deleted BEFORE DELETE ON crm.users
    FOR EACH ROW EXECUTE FUNCTION crm.refuse_change();

CREATE FUNCTION crm.tell_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('crm_people', '');
    RETURN NULL;
END $$;
COMMENT ON FUNCTION crm.tell_people IS 'Tells the running servers to read agents and stations again.';
CREATE TRIGGER tell_people AFTER INSERT OR UPDATE OR DELETE ON crm.users
    FOR EACH STATEMENT EXECUTE FUNCTION crm.tell_people();
CREATE TRIGGER tell_people AFTER INSERT OR UPDATE OR DELETE ON crm.agent_skills
    FOR EACH STATEMENT EXECUTE FUNCTION crm.tell_people();
CREATE TRIGGER tell_people AFTER INSERT OR UPDATE OR DELETE ON crm.stations
    FOR EACH STATEMENT EXECUTE FUNCTION crm.tell_people();
