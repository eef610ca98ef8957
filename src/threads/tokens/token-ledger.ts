import type { DatabaseSync } from 'node:sqlite'
import type { RunKeyRow, TokenLedger, TokenRow } from '../../capabilities/contract.ts'
import { APPROVAL_PREFIX } from '../../capabilities/tokens/approval-token.ts'
import { isTerminal, readStatus } from '../status.ts'
import { integer, text, textOrNull } from '../store/columns.ts'
import type { Row } from '../store/columns.ts'
import type { Store } from '../store/open-store.ts'

const INSERT_KEY = `INSERT INTO token_keys (key_id, public_key, certified_by, certificate, created_at_ms) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (key_id) DO NOTHING`
const INSERT_TOKEN = `INSERT INTO tokens (jti, parent_jti, thread_id, key_id, issued_at_ms, expires_at_ms, token)
  VALUES (?, ?, ?, ?, ?, ?, ?)`
/** Those of approvals are beside the line of a thread's own tokens. */
const ORDINARY = `jti NOT GLOB '${APPROVAL_PREFIX}*'`
const LATEST = `SELECT * FROM tokens WHERE thread_id = ? AND ${ORDINARY} ORDER BY id DESC LIMIT 1`
/**
 * What nothing will ask for again: expired, not the newest of its thread, and no token's parent. The first of each thread stays, as proof,
 * and so do those of approvals.
 */
const PRUNE = `DELETE FROM tokens WHERE thread_id = :thread AND expires_at_ms < :now AND ${ORDINARY}
  AND id NOT IN (SELECT max(id) FROM tokens WHERE thread_id = :thread AND ${ORDINARY} UNION SELECT min(id) FROM tokens WHERE thread_id = :thread)
  AND NOT EXISTS (SELECT 1 FROM tokens AS child WHERE child.parent_jti = tokens.jti)`
const STANDING = 'SELECT status, cancel_mode FROM threads WHERE thread_id = ?'

/**
 * Tokens and run keys of one registry. A cancel is in the row of every thread below in its own transaction, so `standing` tells it
 * from that moment, in any process.
 */
export function createTokenLedger(store: Store): TokenLedger {
  return {
    addKey(key) {
      store.writeNow(() => void store.statement(INSERT_KEY).run(...valuesOf(key)))
    },
    key(keyId) {
      const row = store.statement('SELECT * FROM token_keys WHERE key_id = ?').get(keyId)
      return row === undefined ? undefined : toKeyRow(row)
    },
    add(row) {
      const { jti, parentJti, threadId, keyId, issuedAtMs, expiresAtMs, token } = row
      store.writeNow(() => {
        store.statement(INSERT_TOKEN).run(jti, parentJti, threadId, keyId, issuedAtMs, expiresAtMs, token)
        store.statement(PRUNE).run({ thread: threadId, now: issuedAtMs })
      })
    },
    get(jti) {
      const row = store.statement('SELECT * FROM tokens WHERE jti = ?').get(jti)
      return row === undefined ? undefined : toTokenRow(row)
    },
    latest(threadId) {
      // By the order of writing: a clock that was set back must not bring an older token to the top.
      const row = store.statement(LATEST).get(threadId)
      return row === undefined ? undefined : toTokenRow(row)
    },
    standing(threadId) {
      const row = store.statement(STANDING).get(threadId)
      if (row === undefined) return 'unknown'
      const status = readStatus(text(row, 'status'))?.status
      if (row['cancel_mode'] !== null || status === 'cancelled') return 'cancelled'
      if (status === 'running' || status === 'spawning') return 'live'
      return status === undefined || isTerminal(status) ? 'ended' : 'stopped'
    },
  }
}

/** Into a registry that is just being made. */
export function insertRunKey(database: DatabaseSync, key: RunKeyRow): void {
  database.prepare(INSERT_KEY).run(...valuesOf(key))
}

/** The oldest of a registry; more than enough to tell whose it is. */
export function runKeysOf(store: Store): readonly RunKeyRow[] {
  return store.statement('SELECT * FROM token_keys ORDER BY created_at_ms LIMIT 1000').all().map(toKeyRow)
}

function valuesOf({ keyId, publicKey, certifiedBy, certificate, createdAtMs }: RunKeyRow): readonly (string | number)[] {
  return [keyId, publicKey, certifiedBy, certificate, createdAtMs]
}

function toKeyRow(row: Row): RunKeyRow {
  return {
    keyId: text(row, 'key_id'),
    publicKey: text(row, 'public_key'),
    certifiedBy: text(row, 'certified_by'),
    certificate: text(row, 'certificate'),
    createdAtMs: integer(row, 'created_at_ms'),
  }
}

function toTokenRow(row: Row): TokenRow {
  return {
    jti: text(row, 'jti'),
    parentJti: textOrNull(row, 'parent_jti'),
    threadId: text(row, 'thread_id'),
    keyId: text(row, 'key_id'),
    issuedAtMs: integer(row, 'issued_at_ms'),
    expiresAtMs: integer(row, 'expires_at_ms'),
    token: text(row, 'token'),
  }
}
