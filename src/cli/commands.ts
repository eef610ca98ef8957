import { Argument, Command, Option } from 'commander'
import { addApprovalVerbs } from './approval-grammar.ts'
import { addConnectVerbs } from './connect-grammar.ts'
import type { CliContext } from './context.ts'
import type { ExitCode } from './exit-codes.ts'
import { collect, type On, wholeNumber } from './grammar.ts'
import { packageVersion } from './package-root.ts'
import { addSteeringVerbs, addThreadVerbs } from './thread-grammar.ts'

/** What `main` needs to know to make a verb's context. */
export interface GlobalOptions {
  readonly project: string | undefined
  /** The verb makes the project folder: the given one, else the current one, never one above it. */
  readonly makesProject: boolean
}

/** How `main` runs what was parsed: with the global options, and the verb bound to its own arguments. */
export interface ProgramOptions {
  readonly run: (options: GlobalOptions, verb: (context: CliContext) => Promise<ExitCode>) => Promise<void>
  /** Receives what the parser would write to stderr. */
  readonly writeError: (text: string) => void
}

/** The whole grammar of the command line; the meaning of each verb is its file in `verbs/`. */
export function createProgram({ run, writeError }: ProgramOptions): Command {
  const program = new Command('kiwi')
  program
    .description('Run LLM agents as managed threads.')
    .version(packageVersion(), '-V, --version')
    .addOption(new Option('-o, --output <format>', 'form of the data on stdout').choices(['text', 'json']).default('text'))
    .option('-C, --project <dir>', 'project folder (default: nearest folder with .ai/, else the current one)')
    .addHelpText('after', '\nExit codes: 0 ok, 1 failed, 2 usage, 3 denied, 4 budget, 5 waiting, 130 interrupted.')
    .configureOutput({ writeErr: writeError, outputError: (text, write) => write(text) })
    .exitOverride()
    .showSuggestionAfterError()
  const on: On = (command, verb) => {
    // Commander passes the declared arguments, then the options, then the command itself; each verb declares the same list.
    command.action(async (...args: unknown[]) =>
      run({ project: program.opts()['project'], makesProject: command.name() === 'init' }, (context) =>
        verb(context, ...(args.slice(0, -1) as never[])),
      ),
    )
  }
  on(
    program.command('init').description('make this folder a project: folders, configuration, a signed example'),
    async (context) => (await import('./verbs/init.ts')).init(context),
  )
  addThreadVerbs(program, on)
  addSteeringVerbs(program, on)
  addApprovalVerbs(program, on)
  addItemVerbs(program, on)
  addTrustVerbs(program, on)
  addTokenVerbs(program, on)
  addConnectVerbs(program, on)
  addServiceVerbs(program, on)
  return program
}

function addItemVerbs(program: Command, on: On): void {
  on(
    program
      .command('search')
      .description('find directives, tools and knowledge; without words, list them')
      .argument('[query...]')
      .addOption(new Option('-t, --type <type>').choices(ITEM_TYPES))
      .addOption(new Option('--source <space>').choices(['project', 'user', 'system', 'all']))
      .option('-n, --limit <count>', 'at most this many', wholeNumber),
    async (context, query: string[], options: SearchOptions) =>
      (await import('./verbs/items.ts')).search(context, query, options),
  )
  on(
    program
      .command('load')
      .description('print an item, or copy it into a space')
      .addArgument(itemType())
      .argument('<id>')
      .addOption(new Option('--source <space>').choices(['project', 'user', 'system', 'all']))
      .addOption(new Option('--to <space>', 'copy it there').choices(['project', 'user']))
      .option('--overwrite', 'replace what is there'),
    async (context, type: ItemType, id: string, options: LoadOptions) =>
      (await import('./verbs/items.ts')).load(context, type, id, options),
  )
  on(
    program
      .command('execute')
      .description('run a tool, or read a directive ready to be followed')
      .addArgument(itemType())
      .argument('<id>')
      .option('-p, --param <name=value>', 'one parameter; name:=JSON for other than text', collect, [])
      .option('--params <json>', 'all parameters as one JSON object'),
    async (context, type: ItemType, id: string, options: ExecuteOptions) =>
      (await import('./verbs/items.ts')).execute(context, { type, id, ...options }),
  )
  on(
    program
      .command('sign')
      .description('validate an item and sign it; `kiwi sign config` signs .ai/config.yaml')
      .addArgument(new Argument('<type>').choices([...ITEM_TYPES, 'config']))
      .argument('[id]')
      .option('--draft', 'accept a directive without cost, permissions, model or version'),
    async (context, type: ItemType | 'config', id: string | undefined, options: { draft?: boolean }) =>
      (await import('./verbs/sign.ts')).sign(context, { type, id, draft: options.draft === true }),
  )
}

function addTokenVerbs(program: Command, on: On): void {
  const token = program.command('token').description('what threads were granted')
  on(
    token
      .command('verify')
      .description('prove the capability tokens of a thread, up to the operator; exits with 3 when they do not hold')
      .argument('<id>', 'a thread, or the id of one token'),
    async (context, id: string) => (await import('./verbs/token.ts')).tokenVerify(context, id),
  )
}

function addTrustVerbs(program: Command, on: On): void {
  const trust = program.command('trust').description('whose signatures are accepted')
  on(trust.command('list').description('the keys that you trust, and for what'), async (context) =>
    (await import('./verbs/trust.ts')).trustList(context),
  )
  on(trust.command('show').description('your own key, for others to trust'), async (context) =>
    (await import('./verbs/trust.ts')).trustShow(context),
  )
  on(
    trust
      .command('add')
      .description('let whatever this key signed run')
      .argument('<key>')
      .option('-l, --label <text>', 'whose it is')
      .option('--connector <server>', 'only the tools of this MCP server'),
    async (context, key: string, options: { label?: string; connector?: string }) =>
      (await import('./verbs/trust.ts')).trustAdd(context, key, options),
  )
  on(trust.command('remove').description('trust a key no longer').argument('<key>'), async (context, key: string) =>
    (await import('./verbs/trust.ts')).trustRemove(context, key),
  )
  on(trust.command('rotate').description('sign with a new key from now on'), async (context) =>
    (await import('./verbs/trust.ts')).trustRotate(context),
  )
  on(trust.command('project').description('whose signatures this project has'), async (context) =>
    (await import('./verbs/trust.ts')).trustProject(context),
  )
}

function addServiceVerbs(program: Command, on: On): void {
  on(
    program
      .command('model')
      .description('serve a scripted model on loopback, to develop without a key')
      .requiredOption('--scenario <file>', 'the script')
      .option('--port <number>', 'default: any free port', wholeNumber, 0)
      .option('--log <file>', 'write every request here, one JSON object a line'),
    async (context, options: { scenario: string; port: number; log?: string }) =>
      (await import('./verbs/model.ts')).model(context, options),
  )
  on(program.command('mcp').description('serve the five meta-tools over MCP on stdio'), async (context) =>
    (await import('./verbs/mcp.ts')).mcp(context),
  )
  const serve = program.command('serve').description('serve MCP over HTTP on loopback, to who holds the token')
  on(
    serve
      .option('--port <number>', '0 for any that is free (default: that of the configuration, else 7747)', wholeNumber)
      .addOption(new Option('--host <address>', 'of the loopback').choices(['127.0.0.1', '::1']).default('127.0.0.1')),
    async (context, options: ServeOptions) => (await import('./verbs/serve.ts')).serve(context, options),
  )
  on(
    serve
      .command('token')
      .description('name the file that holds the token')
      .option('--rotate', 'put a new token there; the old one holds no longer'),
    async (context, options: { rotate?: boolean }) => (await import('./verbs/serve.ts')).serveToken(context, options),
  )
  const host = program.command('host').description('the process that runs threads')
  on(host.command('run').description('run it here, in the foreground'), async (context) =>
    (await import('./verbs/host.ts')).hostRun(context),
  )
  on(host.command('status').description('is it running?'), async (context) =>
    (await import('./verbs/host.ts')).hostStatus(context),
  )
  on(host.command('stop').description('stop it; its threads go on with the next host'), async (context) =>
    (await import('./verbs/host.ts')).hostStop(context),
  )
  on(
    program
      .command('demo')
      .description('run a real thread on this repository against a scripted model, end to end')
      .addOption(new Option('--wire <wire>', 'which API the model speaks').choices(['anthropic', 'openai']).default('anthropic'))
      .option('--keep', 'keep the temporary user space'),
    async (context, options: { wire: 'anthropic' | 'openai'; keep?: boolean }) =>
      (await import('./verbs/demo.ts')).demo(context, options),
  )
  on(program.command('doctor').description('check this machine and this project'), async (context) =>
    (await import('./verbs/doctor.ts')).doctorVerb(context),
  )
}

type ItemType = 'directive' | 'tool' | 'knowledge'
type SearchOptions = { type?: ItemType; source?: 'project' | 'user' | 'system' | 'all'; limit?: number }
type LoadOptions = { source?: 'project' | 'user' | 'system' | 'all'; to?: 'project' | 'user' }
type ServeOptions = { port?: number; host: '127.0.0.1' | '::1' }
type ExecuteOptions = { param: string[]; params?: string }

const ITEM_TYPES: readonly ItemType[] = ['directive', 'tool', 'knowledge']

function itemType(): Argument {
  return new Argument('<type>').choices(ITEM_TYPES)
}
