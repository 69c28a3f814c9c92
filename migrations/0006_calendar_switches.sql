-- Calendars that somebody opened or closed by hand.

CREATE TABLE crm.calendar_switches (
    calendar text PRIMARY KEY CHECK (calendar ~ '^[A-Za-z][A-Za-z0-9_-]{0,39}$'),
    state    text NOT NULL CHECK (state IN ('open', 'closed')),
    until    timestamptz NOT NULL,
    by       text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  crm.calendar_switches IS 'Calendars opened or closed by hand; no row, or one that is over: by its hours.';
COMMENT ON COLUMN crm.calendar_switches.calendar IS 'Name of the calendar in calendars.yaml.';
COMMENT ON COLUMN crm.calendar_switches.state IS 'What it is, whatever its hours say: open or closed.';
COMMENT ON COLUMN crm.calendar_switches.until IS 'Until when; from then on its hours say again.';
COMMENT ON COLUMN crm.calendar_switches.by IS 'Who did it: login name, or the operating system user of the command line.';
COMMENT ON COLUMN crm.calendar_switches.at IS 'When he did it.';

CREATE FUNCTION crm.tell_calendars() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('crm_calendars', '');
    RETURN NULL;
END $$;
COMMENT ON FUNCTION crm.tell_calendars IS 'Tells the running servers to read the calendars opened or closed by hand again.';
CREATE TRIGGER tell_calendars AFTER INSERT OR UPDATE OR DELETE ON crm.calendar_switches
    FOR EACH STATEMENT EXECUTE FUNCTION crm.tell_calendars();
