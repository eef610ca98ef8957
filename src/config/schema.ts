import type { JsonObject } from '../json.ts'

const price: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['input', 'output'],
  properties: {
    input: { type: 'number', minimum: 0 },
    cache_read: { type: 'number', minimum: 0 },
    cache_write_5m: { type: 'number', minimum: 0 },
    cache_write_1h: { type: 'number', minimum: 0 },
    output: { type: 'number', minimum: 0 },
  },
}

/**
 * JSON Schema of `config.yaml`, the same for the user's and the project's file. Prices are US dollars per million tokens; a class
 * that is not named costs as much as `input`.
 */
export const CONFIG_SCHEMA: JsonObject = {
  type: 'object',
  additionalProperties: false,
  properties: {
    models: {
      type: 'object',
      additionalProperties: false,
      properties: {
        default_tier: { type: 'string' },
        max_output_tokens: { type: 'integer', minimum: 1 },
        tiers: {
          type: 'object',
          additionalProperties: {
            type: 'object',
            additionalProperties: false,
            required: ['tool', 'model'],
            properties: {
              tool: { type: 'string' },
              model: { type: 'string' },
              wire: { enum: ['anthropic_messages', 'openai_chat'] },
              provider: { type: 'string' },
              max_output_tokens: { type: 'integer', minimum: 1 },
            },
          },
        },
        prices: { type: 'object', additionalProperties: price },
        context_windows: { type: 'object', additionalProperties: { type: 'integer', minimum: 1 } },
      },
    },
    providers: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        additionalProperties: false,
        properties: {
          base_url: { type: 'string', pattern: '^https?://' },
          key_env: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' },
        },
      },
    },
    host: {
      type: 'object',
      additionalProperties: false,
      properties: { idle_exit_seconds: { type: 'number', minimum: 0 } },
    },
    secrets: {
      type: 'object',
      additionalProperties: false,
      properties: { names: { type: 'array', items: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' } } },
    },
    mcp: {
      type: 'object',
      additionalProperties: false,
      properties: { allow_sign: { type: 'boolean' } },
    },
    approvals: {
      type: 'object',
      additionalProperties: false,
      properties: { timeout_seconds: { type: 'number', exclusiveMinimum: 0, maximum: 604_800 } },
    },
    serve: {
      type: 'object',
      additionalProperties: false,
      properties: { port: { type: 'integer', minimum: 0, maximum: 65_535 } },
    },
    sandbox: { enum: ['bubblewrap', 'none'] },
  },
}
