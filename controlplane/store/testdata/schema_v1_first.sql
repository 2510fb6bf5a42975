-- A database of schema version 1 as it was at first, with a row in each table that matters.
CREATE TABLE schema_version (version INTEGER PRIMARY KEY NOT NULL, applied_s INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (1, 1700000000);
CREATE TABLE document (kind INTEGER NOT NULL, name TEXT NOT NULL, json TEXT NOT NULL, updated_ns INTEGER NOT NULL,
  PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
CREATE TABLE secret (name TEXT PRIMARY KEY NOT NULL, sealed BLOB NOT NULL, updated_ns INTEGER NOT NULL) STRICT;
CREATE TABLE sidecar (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
  key_hash BLOB NOT NULL, certificate_serial TEXT NOT NULL,
  certificate_not_after_ns INTEGER NOT NULL, enrolled_ns INTEGER NOT NULL,
  last_seen_ns INTEGER NOT NULL, policy_revision INTEGER NOT NULL,
  policy_state TEXT NOT NULL, enrolled_by TEXT NOT NULL) STRICT;
CREATE TABLE join_token (hash BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL, created_by TEXT NOT NULL,
  created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,
  used_ns INTEGER NOT NULL) STRICT;
CREATE TABLE policy (revision INTEGER PRIMARY KEY NOT NULL, hash TEXT NOT NULL, document BLOB NOT NULL,
  signature BLOB NOT NULL, public_key BLOB NOT NULL, source TEXT NOT NULL,
  created_by TEXT NOT NULL, created_ns INTEGER NOT NULL) STRICT;
CREATE TABLE audit_stream (id INTEGER PRIMARY KEY NOT NULL, sidecar TEXT UNIQUE NOT NULL,
  last_sequence INTEGER NOT NULL, last_hash BLOB NOT NULL,
  last_key INTEGER NOT NULL) STRICT;
CREATE TABLE audit_name (id INTEGER PRIMARY KEY NOT NULL, name TEXT UNIQUE NOT NULL) STRICT;
CREATE TABLE audit_table (id INTEGER PRIMARY KEY NOT NULL, name INTEGER NOT NULL REFERENCES audit_name,
  full_name TEXT UNIQUE NOT NULL) STRICT;
CREATE INDEX audit_table_name ON audit_table (name);
CREATE TABLE audit_session (id INTEGER PRIMARY KEY NOT NULL, session TEXT NOT NULL,
  stream INTEGER NOT NULL REFERENCES audit_stream,
  identity INTEGER REFERENCES audit_name, resource INTEGER REFERENCES audit_name,
  on_behalf_of TEXT NOT NULL, protocol TEXT NOT NULL, database TEXT NOT NULL,
  agent_address TEXT NOT NULL, opened_ns INTEGER NOT NULL, closed_ns INTEGER NOT NULL,
  operations INTEGER NOT NULL, state TEXT NOT NULL, close_reason TEXT NOT NULL,
  UNIQUE (session, stream)) STRICT;
CREATE INDEX audit_session_opened ON audit_session (opened_ns);
CREATE INDEX audit_session_open ON audit_session (opened_ns) WHERE closed_ns = 0;
CREATE TABLE audit_record (key INTEGER PRIMARY KEY NOT NULL, position INTEGER UNIQUE NOT NULL,
  stream INTEGER NOT NULL REFERENCES audit_stream, sequence INTEGER NOT NULL,
  kind INTEGER NOT NULL, verdict INTEGER NOT NULL, status INTEGER NOT NULL,
  row_count INTEGER NOT NULL, error_code TEXT NOT NULL,
  session INTEGER REFERENCES audit_session, identity INTEGER REFERENCES audit_name,
  resource INTEGER REFERENCES audit_name, received_ns INTEGER NOT NULL,
  hash BLOB NOT NULL, canonical BLOB NOT NULL,
  UNIQUE (stream, sequence)) STRICT;
CREATE INDEX audit_record_session ON audit_record (session) WHERE session IS NOT NULL;
CREATE INDEX audit_record_identity ON audit_record (identity) WHERE identity IS NOT NULL;
CREATE INDEX audit_record_resource ON audit_record (resource) WHERE resource IS NOT NULL;
CREATE INDEX audit_record_verdict ON audit_record (verdict) WHERE verdict > 1;
CREATE INDEX audit_record_kind ON audit_record (kind) WHERE kind NOT IN (11, 13);
CREATE TABLE audit_record_table (name INTEGER NOT NULL, key INTEGER NOT NULL, full_name INTEGER NOT NULL,
  PRIMARY KEY (name, key, full_name)) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE audit_text USING fts5 (text, tag, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 0');
INSERT INTO sidecar VALUES ('s1', 'host', '1.0', x'0000000000000000000000000000000000000000000000000000000000000000', '01', 77, 5, 9, 1, 'active', 'join token t');
INSERT INTO policy VALUES (1, 'abc', x'7b7d', x'01', x'02', 'version: 1', 'configuration', 6);
INSERT INTO audit_stream VALUES (1, 's1', 1, x'0100000000000000010000000000000000000000000000000000000000000001', 1700000001000000000);
INSERT INTO audit_name VALUES (1, 'alice'), (2, 'db1');
INSERT INTO audit_session VALUES (1, 'A', 1, 1, 2, '', 'postgres', 'shop', '127.0.0.1:1', 1700000001000000000, 0, 0, 'open', '');
INSERT INTO audit_record VALUES (1700000001000000000, 1, 1, 1, 10, 1, 0, 0, '', 1, 1, 2, 1800000000000000000, x'0100000000000000010000000000000000000000000000000000000000000001', x'616e79');
PRAGMA application_id = 1130914160;
