import type { Json, JsonObject } from '../../json.ts'
import { HELP_TOPICS } from './help.ts'
import type { Verb } from './request.ts'

/** One meta-tool as a model sees it. */
export interface MetaToolDescription {
  readonly name: Verb
  readonly description: string
  /** JSON Schema of `MetaToolRequest` as far as this verb takes it. */
  readonly inputSchema: JsonObject
}

const ITEM_TYPE = { type: 'string', enum: ['directive', 'tool', 'knowledge'] } as const
const SOURCE = {
  type: 'string',
  enum: ['project', 'user', 'system', 'all'],
  description: 'Space to look in. Default all: project, then user, then system.',
} as const
const PROJECT_PATH = { type: 'string', description: 'Absolute path of the project, when it is not the current one.' } as const

/** Everything a model can do, in five tools whose size does not depend on what is installed. */
export const META_TOOLS: readonly MetaToolDescription[] = [
  {
    name: 'search',
    description:
      'Find directives (instructions to follow or to run on a thread), tools and knowledge by words. Use it first; then load what looks right.',
    inputSchema: schema({
      query: { type: 'string', description: 'Plain words. Empty lists everything.' },
      item_type: { ...ITEM_TYPE, description: 'Only this type.' },
      source: SOURCE,
      limit: { type: 'integer', minimum: 1, maximum: 100, default: 10, description: 'Most results.' },
      project_path: PROJECT_PATH,
    }),
  },
  {
    name: 'load',
    description:
      "Read one item: its parameters or inputs, text, state and signature. Load a tool before you first execute it, to learn its parameters. With destination, also copy the item's file into that space.",
    inputSchema: schema(
      {
        item_type: ITEM_TYPE,
        item_id: { type: 'string', description: 'Id as search gives it.' },
        source: SOURCE,
        destination: {
          type: 'string',
          enum: ['project', 'user'],
          description: 'Copy the file there. Refuses to replace one unless parameters is {"overwrite": true}.',
        },
        parameters: { type: 'object', description: '{"overwrite": true} or nothing.' },
        project_path: PROJECT_PATH,
      },
      ['item_type', 'item_id'],
    ),
  },
  {
    name: 'execute',
    description:
      'Use one item. A tool runs with the given parameters and its result is returned. A directive is not run: its steps are returned for you to follow; to run one in the background on a managed thread, execute the tool thread_directive with {"directive_name": "...", "inputs": {...}}. Knowledge returns its content.',
    inputSchema: schema(
      {
        item_type: ITEM_TYPE,
        item_id: { type: 'string', description: 'Id as search gives it.' },
        parameters: { type: 'object', description: "The tool's parameters or the directive's inputs." },
        action: { type: 'string', enum: ['run'], default: 'run' },
        project_path: PROJECT_PATH,
      },
      ['item_type', 'item_id'],
    ),
  },
  {
    name: 'sign',
    description:
      'Check an item of the project or user space and sign its file, which allows it to run. Sign only what you or the user wrote and read. Every later change needs a new signature.',
    inputSchema: schema(
      {
        item_type: ITEM_TYPE,
        item_id: { type: 'string', description: 'Stem of the file name.' },
        source: { type: 'string', enum: ['project', 'user', 'all'], description: 'Space of the file.' },
        parameters: {
          type: 'object',
          description:
            '{"draft": true} signs a directive that lacks cost, permissions, model or version; {"sha256": "…"} only content of that hash.',
        },
        project_path: PROJECT_PATH,
      },
      ['item_type', 'item_id'],
    ),
  },
  {
    name: 'help',
    description:
      'Explain how this works, or, on a thread, ask for help: guidance, stuck, escalate (wait for a person), checkpoint (note progress).',
    inputSchema: schema({
      topic: { type: 'string', enum: HELP_TOPICS, description: 'What to explain. Default kiwi-overview.' },
      action: {
        type: 'string',
        enum: ['guidance', 'stuck', 'escalate', 'checkpoint'],
        description: 'Signal to send from a thread.',
      },
      reason: { type: 'string', description: 'With action: what is the matter, what was tried, what is needed.' },
      project_path: PROJECT_PATH,
    }),
  },
]

function schema(properties: Readonly<Record<string, Json>>, required: readonly string[] = []): JsonObject {
  return { type: 'object', additionalProperties: false, properties, ...(required.length === 0 ? {} : { required }) }
}
