import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collectSecrets, createSecretRegistry } from '../../../src/capabilities/secrets/secret-registry.ts'

const namesIn = (env: Record<string, string>, names: readonly string[] = []): readonly string[] =>
  collectSecrets({ env, names }).map(({ name }) => name)

test('variables called like a secret are secrets when they are long enough', () => {
  const env = {
    MY_API_KEY: 'abcdefgh',
    githubToken: 'abcdefgh',
    DB_PASSWORD: 'correcthorse',
    SHORT_TOKEN: 'abcdefg',
    PLAIN: 'abcdefgh',
  }
  assert.deepEqual(namesIn(env), ['MY_API_KEY', 'githubToken', 'DB_PASSWORD'])
})

test('numbers, paths that exist and words that are no secret are left alone, unless the variable was named', () => {
  const env = {
    MAX_TOKENS: '100000000',
    GNOME_KEYRING_CONTROL: import.meta.dirname,
    SSH_KEY_SOCKET: `unix:path=${import.meta.dirname}`,
    API_KEY_HEADER: 'Authorization',
    KEY_FILE: '/does/not/exist/sk-1234',
  }
  assert.deepEqual(namesIn(env), ['KEY_FILE'])
  assert.deepEqual(namesIn(env, ['MAX_TOKENS']), ['MAX_TOKENS', 'KEY_FILE'])
})

test('a variable that a tool file puts into headers, auth or env is a secret from then on, also for a redactor asked for before', () => {
  const registry = createSecretRegistry()
  const redactor = registry.redactor()
  registry.used('ENDPOINT', 'https://example.com/v1', ['url'])
  registry.used('SIGN_IN', 'value-one-1', ['headers', 'x-auth'])
  registry.used('LOGIN', 'value-two-2', ['mcp', 0, 'Authorization'])
  // The value of a header that a tool of an MCP server is called with.
  registry.used('MY_PAT', 'value-four-4', ['rpc', 'auth', 'value'])
  assert.equal(
    redactor.text('https://example.com/v1 value-one-1 value-two-2 value-four-4'),
    'https://example.com/v1 [secret:SIGN_IN] [secret:LOGIN] [secret:MY_PAT]',
  )
  registry.addFrom({ LATE: 'value-three-3' }, ['LATE'])
  assert.equal(redactor.text('value-three-3'), '[secret:LATE]')
})
