import { DatabaseSync } from 'node:sqlite'

const NEWER = ['max_live', 'chain_id', 'continues_thread_id', 'continues_how', 'continued_by', 'on_parent_end']

/** Takes from a registry what came after that version, tables, columns and fields of starts, so that it is one that the version wrote. */
export function makeOld(path: string, version: 1 | 2): void {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA foreign_keys=OFF; DROP TABLE approvals; DROP INDEX threads_by_chain')
  for (const column of NEWER) database.exec(`ALTER TABLE threads DROP COLUMN ${column}`)
  database.exec("UPDATE thread_starts SET start_json = json_remove(start_json, '$.chainId', '$.continues', '$.onParentEnd')")
  if (version === 1) database.exec('DROP TABLE tokens; DROP TABLE token_keys')
  database.exec(`PRAGMA user_version=${version}`)
  database.close()
}
