import type { WireName } from '../conversation.ts'
import { anthropicMessages } from './anthropic-messages.ts'
import { openaiChat } from './openai-chat.ts'
import type { Wire } from './wire.ts'

const WIRES: Readonly<Record<WireName, Wire>> = { anthropic_messages: anthropicMessages, openai_chat: openaiChat }

/**
 * The wire that a tool's `wire:` names.
 *
 * @throws {TypeError} for any other name.
 */
export function wireByName(name: string): Wire {
  // `Object.hasOwn` has just proven that the name is a key.
  if (Object.hasOwn(WIRES, name)) return WIRES[name as WireName]
  throw new TypeError(`Expected \`wire\` to be one of ${Object.keys(WIRES).join(', ')}, got ${JSON.stringify(name)}.`)
}
