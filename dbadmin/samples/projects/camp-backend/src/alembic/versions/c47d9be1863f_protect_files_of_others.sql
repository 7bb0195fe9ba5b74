ALTER TABLE sample_files ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_files ON sample_files
    USING (user_id = nullif(current_setting('app.user_id', true), '')::integer);

CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER sample_users_updated BEFORE UPDATE ON sample_users
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
