import { createOpenaiFold, foldOpenaiBody } from './openai-fold.ts'
import { buildOpenaiParameters } from './openai-request.ts'
import type { Wire } from './wire.ts'

/**
 * The OpenAI Chat Completions format, and the many servers that imitate it.
 *
 * @see https://platform.openai.com/docs/api-reference/chat-streaming
 */
export const openaiChat: Wire = {
  name: 'openai_chat',
  buildParameters: buildOpenaiParameters,
  createFold: createOpenaiFold,
  foldBody: foldOpenaiBody,
}
