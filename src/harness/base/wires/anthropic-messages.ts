import { createAnthropicFold } from './anthropic-fold.ts'
import { buildAnthropicParameters } from './anthropic-request.ts'
import { foldAnthropicBody } from './anthropic-body.ts'
import type { Wire } from './wire.ts'

/**
 * The Anthropic Messages format, and what imitates it.
 *
 * @see https://docs.claude.com/en/api/messages-streaming
 */
export const anthropicMessages: Wire = {
  name: 'anthropic_messages',
  buildParameters: buildAnthropicParameters,
  createFold: createAnthropicFold,
  foldBody: foldAnthropicBody,
}
