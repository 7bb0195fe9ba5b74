CREATE TABLE sample_users (
    id serial PRIMARY KEY,
    email varchar(255) NOT NULL UNIQUE,
    username varchar(100) NOT NULL UNIQUE,
    hashed_password varchar(255) NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sample_users IS 'Campers who may sign in';
COMMENT ON COLUMN sample_users.hashed_password IS 'bcrypt';

CREATE TABLE sample_sessions (
    id serial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES sample_users ON DELETE CASCADE,
    session_id varchar(255) NOT NULL,
    title varchar(255),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_sample_sessions_session_id ON sample_sessions (session_id);

CREATE TABLE sample_files (
    id serial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES sample_users ON DELETE CASCADE,
    filename varchar(255) NOT NULL,
    content_type varchar(100) NOT NULL,
    size bigint NOT NULL,
    storage_path varchar(500) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
