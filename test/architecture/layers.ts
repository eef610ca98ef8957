import type { ImportEdge } from './source-graph.ts'

/**
 * The whiteboard as a table: where a file belongs, and what it may import besides its own layer. First match wins.
 * An arrow that is missing here does not exist; adding one is a change of the architecture.
 */
const LAYERS: readonly { readonly name: string; readonly files: RegExp; readonly imports: readonly string[] }[] = [
  { name: 'json', files: /^src\/json\.ts$/, imports: [] },
  { name: 'primitive contracts', files: /^src\/primitives\/[a-z-]+\/contract\.ts$/, imports: ['json'] },
  { name: 'primitives', files: /^src\/primitives\//, imports: ['json', 'primitive contracts'] },
  { name: 'kernel', files: /^src\/kernel\//, imports: ['json', 'primitive contracts', 'primitives'] },
  { name: 'capabilities', files: /^src\/capabilities\//, imports: ['json', 'primitive contracts', 'primitives', 'kernel'] },
  { name: 'threads', files: /^src\/threads\//, imports: ['json', 'kernel', 'capabilities'] },
  { name: 'base harness', files: /^src\/harness\/base\//, imports: ['json', 'primitive contracts', 'primitives'] },
  {
    name: 'safety harness',
    files: /^src\/harness\/safety\//,
    imports: ['json', 'primitive contracts', 'kernel', 'capabilities', 'threads', 'base harness'],
  },
  {
    name: 'custom harnesses',
    files: /^src\/harness\/custom\//,
    imports: ['json', 'kernel', 'threads', 'base harness', 'safety harness'],
  },
  {
    name: 'config',
    files: /^src\/config\//,
    imports: ['json', 'primitive contracts', 'kernel', 'capabilities', 'safety harness', 'base harness'],
  },
  { name: 'mcp client', files: /^src\/mcp-client\//, imports: ['json', 'primitive contracts', 'primitives'] },
  {
    name: 'connectors',
    files: /^src\/connectors\//,
    imports: ['json', 'primitive contracts', 'primitives', 'kernel', 'capabilities', 'mcp client'],
  },
  { name: 'scripted model', files: /^src\/scripted-model\//, imports: ['json'] },
  {
    name: 'compose',
    files: /^src\/(?!json|index)[a-z-]+\.ts$/,
    imports: [
      'json',
      'primitive contracts',
      'primitives',
      'kernel',
      'capabilities',
      'threads',
      'base harness',
      'safety harness',
      'custom harnesses',
      'config',
      'mcp client',
      'connectors',
    ],
  },
  { name: 'mcp', files: /^src\/mcp\//, imports: ['json', 'kernel', 'threads', 'safety harness', 'config', 'compose'] },
  { name: 'monitor', files: /^src\/monitor\//, imports: ['json', 'kernel', 'threads', 'compose'] },
  {
    name: 'serve',
    files: /^src\/serve\//,
    imports: ['json', 'primitives', 'kernel', 'threads', 'config', 'compose', 'mcp', 'monitor'],
  },
  {
    name: 'cli',
    files: /^src\/cli\//,
    imports: [
      'json',
      'kernel',
      'capabilities',
      'threads',
      'safety harness',
      'base harness',
      'config',
      'scripted model',
      'connectors',
      'compose',
      'mcp',
      'serve',
    ],
  },
  {
    name: 'public entry',
    files: /^src\/index\.ts$/,
    imports: [
      'json',
      'primitive contracts',
      'primitives',
      'kernel',
      'threads',
      'safety harness',
      'custom harnesses',
      'config',
      'scripted model',
      'compose',
    ],
  },
  {
    name: 'system tools',
    files: /^system\/tools\//,
    imports: [
      'json',
      'primitive contracts',
      'primitives',
      'kernel',
      'capabilities',
      'threads',
      'base harness',
      'safety harness',
      'mcp client',
      'connectors',
    ],
  },
]

function layerOf(path: string): (typeof LAYERS)[number] | undefined {
  return LAYERS.find(({ files }) => files.test(path))
}

/** What is wrong with one import, or null. */
export function violationOf({ from, to, ours }: ImportEdge): string | null {
  const source = layerOf(from)
  if (source === undefined) return `${from} is in no layer: give it a place in test/architecture/layers.ts`
  if (!ours) {
    const reason = forbiddenPackage(source.name, to)
    return reason === null ? null : `${from} imports ${to}: ${reason}`
  }
  const target = layerOf(to)
  if (target === undefined) return `${from} imports ${to}, which is in no layer`
  if (target === source || source.imports.includes(target.name)) return null
  return `${from} imports ${to}: ${source.name} must not import ${target.name}`
}

/** The kernel has no MCP client and no SDK of a model; one layer below the doors speaks MCP, to external servers. */
function forbiddenPackage(layer: string, specifier: string): string | null {
  if (/^(openai|@anthropic-ai\/|ai$|@ai-sdk\/)/.test(specifier))
    return 'models are spoken to over http_client, never through an SDK'
  if (specifier.startsWith('@modelcontextprotocol/') && !['mcp', 'serve', 'mcp client'].includes(layer))
    return 'only the MCP client and the MCP doors speak MCP'
  return null
}
