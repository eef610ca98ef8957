/** Raised with every change of the tables below; a registry of a newer version is refused, never guessed at. */
export const SCHEMA_VERSION = 3

/** Tables of version 2. A token holds for its thread, a run key for the host process that made it; neither row is ever changed. */
const TOKEN_TABLES = `
CREATE TABLE token_keys (
  key_id TEXT PRIMARY KEY NOT NULL,
  public_key TEXT NOT NULL,
  certified_by TEXT NOT NULL,
  certificate TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  id INTEGER PRIMARY KEY,
  jti TEXT NOT NULL UNIQUE,
  parent_jti TEXT REFERENCES tokens(jti),
  thread_id TEXT NOT NULL REFERENCES threads(thread_id),
  key_id TEXT NOT NULL REFERENCES token_keys(key_id),
  issued_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  token TEXT NOT NULL
) STRICT;
CREATE INDEX tokens_by_thread ON tokens(thread_id);
`

/** Tables of version 3. `thread_id` first in the index: a thread's end looks for its open questions. */
const APPROVAL_TABLES = `
CREATE TABLE approvals (
  approval_id TEXT PRIMARY KEY NOT NULL,
  thread_id TEXT NOT NULL REFERENCES threads(thread_id),
  kind TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending','approved','denied','expired','cancelled')),
  title TEXT NOT NULL,
  subject_json TEXT NOT NULL,
  requested_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  answered_at_ms INTEGER,
  answer_json TEXT
) STRICT;
CREATE INDEX approvals_pending ON approvals(thread_id) WHERE status = 'pending';
`

const CHAIN_INDEX = 'CREATE INDEX threads_by_chain ON threads(chain_id) WHERE chain_id IS NOT NULL;'

/** Columns of version 3; `chain_id` is null for a thread of which nothing was continued. */
const CHAIN_COLUMNS = `
ALTER TABLE threads ADD COLUMN max_live INTEGER;
ALTER TABLE threads ADD COLUMN chain_id TEXT;
ALTER TABLE threads ADD COLUMN continues_thread_id TEXT;
ALTER TABLE threads ADD COLUMN continues_how TEXT;
ALTER TABLE threads ADD COLUMN continued_by TEXT;
ALTER TABLE threads ADD COLUMN on_parent_end TEXT NOT NULL DEFAULT 'cancel';
${CHAIN_INDEX}
`

/** What makes a registry of version N one of version N + 1, by N. */
export const UPGRADES: Readonly<Record<number, string>> = { 1: TOKEN_TABLES, 2: CHAIN_COLUMNS + APPROVAL_TABLES }

/**
 * Times that people read are ISO text; times that are computed with are milliseconds. Money is integer nano-dollars. What changes with
 * every turn (state, totals) stands in `threads`, what never changes and may be large (the start) beside it. The cost
 * of a commit is the pages it changes, so a table that is written every turn has no index that is not read every turn.
 */
export const SCHEMA: string = `
CREATE TABLE threads (
  thread_id TEXT NOT NULL UNIQUE,
  directive_id TEXT NOT NULL,
  parent_thread_id TEXT REFERENCES threads(thread_id),
  root_thread_id TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('spawning','running','paused','waiting','completed','error','cancelled')),
  end_reason TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  permission_context_json TEXT NOT NULL,
  cost_budget_json TEXT NOT NULL,
  total_usage_json TEXT NOT NULL,
  result_json TEXT,
  registry_id INTEGER PRIMARY KEY,
  harness TEXT NOT NULL,
  runner_version TEXT,
  depth INTEGER NOT NULL,
  guarantee TEXT NOT NULL,
  max_spawns INTEGER,
  max_depth INTEGER,
  spawned_below INTEGER NOT NULL DEFAULT 0,
  wait_reason TEXT,
  wait_until_ms INTEGER,
  ended_at TEXT,
  turn INTEGER NOT NULL DEFAULT 0,
  turn_started_ms INTEGER,
  state_json TEXT,
  next_json TEXT,
  cancel_mode TEXT,
  max_live INTEGER,
  chain_id TEXT,
  continues_thread_id TEXT,
  continues_how TEXT,
  continued_by TEXT,
  on_parent_end TEXT NOT NULL DEFAULT 'cancel'
) STRICT;
CREATE INDEX threads_by_parent ON threads(parent_thread_id) WHERE parent_thread_id IS NOT NULL;
CREATE INDEX threads_by_root ON threads(root_thread_id);
CREATE INDEX threads_by_directive ON threads(directive_id, created_at);
CREATE INDEX threads_by_created ON threads(created_at);
${CHAIN_INDEX}
CREATE INDEX threads_unfinished ON threads(registry_id) WHERE status IN ('spawning','running','paused','waiting');

CREATE TABLE thread_starts (
  thread_id TEXT PRIMARY KEY NOT NULL REFERENCES threads(thread_id),
  start_json TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE thread_events (
  id INTEGER PRIMARY KEY,
  thread_id TEXT NOT NULL REFERENCES threads(thread_id),
  seq INTEGER NOT NULL,
  ts TEXT NOT NULL,
  event_type TEXT NOT NULL,
  payload_json TEXT NOT NULL,
  line_json TEXT
) STRICT;
CREATE UNIQUE INDEX thread_events_by_seq ON thread_events(thread_id, seq);

CREATE TABLE steps (
  thread_id TEXT NOT NULL REFERENCES threads(thread_id),
  turn INTEGER NOT NULL,
  name TEXT NOT NULL,
  effect TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('begun','done','failed','unknown')),
  attempt INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  value_json TEXT,
  PRIMARY KEY (thread_id, turn, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
  thread_id TEXT NOT NULL REFERENCES threads(thread_id),
  seq INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  step TEXT,
  role TEXT NOT NULL,
  content_json TEXT NOT NULL,
  PRIMARY KEY (thread_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE signals (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  thread_id TEXT NOT NULL REFERENCES threads(thread_id),
  signal_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  body_json TEXT NOT NULL,
  created_at TEXT NOT NULL,
  applied_turn INTEGER,
  UNIQUE (thread_id, signal_id)
) STRICT;
CREATE INDEX signals_pending ON signals(thread_id, seq) WHERE applied_turn IS NULL;

CREATE TABLE ledger (
  thread_id TEXT PRIMARY KEY NOT NULL REFERENCES threads(thread_id),
  granted_nano INTEGER,
  account_thread_id TEXT,
  parent_account_id TEXT,
  spent_nano INTEGER NOT NULL DEFAULT 0,
  reserved_nano INTEGER NOT NULL DEFAULT 0,
  escrow_nano INTEGER NOT NULL DEFAULT 0,
  own_spent_nano INTEGER NOT NULL DEFAULT 0,
  held_nano INTEGER NOT NULL DEFAULT 0,
  passed_nano INTEGER NOT NULL DEFAULT 0,
  closed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE reservations (
  thread_id TEXT NOT NULL REFERENCES threads(thread_id),
  turn INTEGER NOT NULL,
  step TEXT NOT NULL,
  account_thread_id TEXT,
  amount_nano INTEGER NOT NULL,
  PRIMARY KEY (thread_id, turn, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE hosts (
  host_id TEXT PRIMARY KEY NOT NULL,
  machine TEXT NOT NULL,
  pid INTEGER NOT NULL,
  pid_start TEXT NOT NULL,
  heartbeat_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
  thread_id TEXT PRIMARY KEY NOT NULL REFERENCES threads(thread_id),
  host_id TEXT,
  epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
${TOKEN_TABLES}${APPROVAL_TABLES}`
