import { homedir } from 'node:os'
import { dirname } from 'node:path'
import type { Kernel, KernelOptions, MetaToolRequest, MetaToolResult } from './contract.ts'
import { createCapabilityModules } from './capability-modules.ts'
import { createExecutor } from './chain/executor.ts'
import type { ExecutionContext } from './chain/primitive.ts'
import { pathBelow, shownFolders, withRelativePaths } from './chain/relative-paths.ts'
import { closeSinks } from './chain/sinks.ts'
import { createTrustedItems, findItem } from './chain/trusted-items.ts'
import { toEnvelope } from './errors.ts'
import { createItemStore } from './items/item-store.ts'
import { createDataExecute } from './meta-tools/execute.ts'
import { createHelp } from './meta-tools/help.ts'
import { createLoad } from './meta-tools/load.ts'
import { checkRequest, invalidRequest, type MetaTool, requiredItem, type Verb } from './meta-tools/request.ts'
import { createSearch } from './meta-tools/search.ts'
import { createSign } from './meta-tools/sign.ts'
import { createReviewer, reviewedItems, reviewedStore } from './reviewed-items.ts'
import { createRevisions } from './revisions.ts'
import { createSearchIndex, type SearchIndex } from './search/search-index.ts'

/**
 * The kernel of one project. Its verbs never reject: every failure is an envelope whose texts name no absolute path of the spaces.
 * `close` when done; calls under way finish.
 */
export function createKernel(options: KernelOptions): Kernel {
  const { spaces, projectPath, authorize, trustMs = 0 } = options
  const files = createItemStore({
    spaces,
    projectPath,
    trustMs,
    ...(options.systemModules === undefined ? {} : { systemModules: options.systemModules }),
  })
  // Most processes never search, so the index is opened by the first one that does.
  let index: SearchIndex | null = null
  const openIndex = (): SearchIndex => (index ??= createSearchIndex({ indexPath: options.indexPath }))
  const trusted = createTrustedItems(files, options.keys)
  const capabilities = createCapabilityModules({ store: files, items: trusted, trustMs })
  const reviewer = options.review === undefined ? null : createReviewer(options.review, capabilities)
  const store = reviewer === null ? files : reviewedStore(files, reviewer)
  const items = reviewer === null ? trusted : reviewedItems(trusted, reviewer)
  const executor = createExecutor({ items, primitives: options.primitives, env: options.env, authorize })
  const executeData = createDataExecute({ items, authorize })
  const folders = shownFolders({
    // What a tool says about a file elsewhere must not name the user.
    [homedir()]: '~',
    [dirname(spaces.user)]: '~',
    ...(options.systemModules === undefined ? {} : { [options.systemModules]: 'system' }),
    [dirname(spaces.system)]: '',
    [spaces.user]: '~/.ai',
    [projectPath]: '',
  })

  const userSpace = pathBelow(projectPath, spaces.user)
  const place = { projectPath, ...(userSpace === null ? {} : { __user_space: userSpace }) }

  const verb = (run: (request: MetaToolRequest, context: ExecutionContext) => Promise<MetaToolResult>): Kernel[Verb] => {
    return async (request, context = {}) => {
      try {
        const { __user_space: _own, ...given } = context
        return withRelativePaths(await run(request, { ...given, ...place }), folders)
      } catch (error) {
        return withRelativePaths(toEnvelope(error), folders)
      }
    }
  }

  const checked = (name: Verb, run: MetaTool): Kernel[Verb] =>
    verb(async (request, context) => {
      checkRequest(name, request, projectPath)
      return await run(request, context)
    })

  const execute = verb(async (request, context) => {
    const { __sinks: sinks = [] } = context
    let handedOver = false
    try {
      checkRequest('execute', request, projectPath)
      const { type, id } = requiredItem('execute', request)
      if (request.action !== undefined && request.action !== 'run') {
        throw invalidRequest(`\`action\` of execute must be run, got ${JSON.stringify(request.action)}`)
      }
      if (type !== 'tool') return await executeData(request, context)
      handedOver = true
      return await executor.execute(id, request.parameters ?? {}, context)
    } finally {
      // The executor closes the caller's sinks on every path of its own.
      if (!handedOver) await closeSinks(sinks)
    }
  })

  return {
    projectPath,
    search: checked('search', createSearch({ store, openIndex, authorize })),
    load: checked('load', createLoad({ store, spaces, authorize, keys: options.keys })),
    execute,
    sign: checked('sign', createSign({ store, authorize, keys: options.keys, now: options.now })),
    help: checked('help', createHelp(store)),
    find: async (type, id, source) => await findItem(store, type, id, source),
    require: async (type, id) => (await items.require(type, id)).item,
    ids: async (type) => [...new Set((await files.entries(type)).map(({ id }) => id))].toSorted(),
    ...createRevisions({ store, items, keys: options.keys, now: options.now }),
    importModule: async (toolId) => await executor.importModule(toolId),
    capabilities,
    problems: async () => await store.problems(),
    close() {
      index?.close()
      index = null
      store.close()
    },
  }
}
