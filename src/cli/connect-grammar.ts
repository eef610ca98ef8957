import { type Command, Option } from 'commander'
import { collect, type On } from './grammar.ts'
import type { AddOptions } from './verbs/connect.ts'

const EXAMPLES = `
Examples:
  kiwi connect add tracker https://mcp.example.com/mcp --bearer-env TRACKER_TOKEN
  kiwi connect add files --program node_modules -- node_modules/.bin/mcp-server-filesystem /project
The command runs in the sandbox, where the project is /project.`

/** `kiwi connect`: external MCP servers as tools of the project. */
export function addConnectVerbs(program: Command, on: On): void {
  const connect = program.command('connect').description('tools of external MCP servers')
  addAdd(connect, on)
  on(connect.command('list').description('the connectors of this project'), async (context) =>
    (await import('./verbs/connect.ts')).connectList(context),
  )
  on(
    connect
      .command('refresh')
      .description('bring the tools up to date; exits with 1 when a definition changed')
      .argument('<name>'),
    async (context, name: string) => (await import('./verbs/connect.ts')).connectRefresh(context, name),
  )
  on(
    connect
      .command('diff')
      .description('what a refresh would do, and every changed definition; writes nothing')
      .argument('<name>'),
    async (context, name: string) => (await import('./verbs/connect.ts')).connectDiff(context, name),
  )
  on(
    connect
      .command('accept')
      .description('pin changed definitions anew, so that these tools may be called again')
      .argument('<name>')
      .argument('[tool...]', 'by id or by the name that its server gives it (default: all that changed)'),
    async (context, name: string, tools: string[]) => (await import('./verbs/connect.ts')).connectAccept(context, name, tools),
  )
  on(
    connect.command('remove').description('remove a connector, the files that it made, and its key').argument('<name>'),
    async (context, name: string) => (await import('./verbs/connect.ts')).connectRemove(context, name),
  )
}

function addAdd(connect: Command, on: On): void {
  on(
    connect
      .command('add')
      .description('write and sign a connector file, run it, and print every tool with what its server says of it')
      .argument('<name>', 'of the server; begins the ids of its tools')
      .argument('<target...>', 'its URL, or after -- the command that starts it')
      .option('--bearer-env <variable>', 'send the value of this variable as bearer token')
      .option('--header <line>', "a header, such as 'X-Key: ${API_KEY}'; repeat it for more", collect, [])
      .option(
        '--env <name=value>',
        "a variable of the command, such as 'TOKEN=${MY_TOKEN}'; only a name passes it on",
        collect,
        [],
      )
      .option(
        '--program <path>',
        'what the command consists of, in the project, such as node_modules; threads see it whatever they may read',
        collect,
        [],
      )
      .option('--cwd <folder>', 'where the command runs, in the project')
      .option('--prefix <prefix>', 'begins the ids of its tools (default: NAME_)')
      .option('--tools <pattern>', 'only tools of this name, or beginning (get_*); repeat it for more', collect, [])
      .option(
        '--capability <pattern=ids>',
        'capabilities that its tools require besides, such as execute_sql=db.query',
        collect,
        [],
      )
      .addOption(new Option('--era <era>', 'version of the protocol').choices(['auto', 'legacy', 'modern']))
      .option('--keep', 'keep the connector file when the server cannot be reached')
      .showHelpAfterError(
        '→ Such as: kiwi connect add NAME https://…, or after two dashes: kiwi connect add NAME -- node server.js --port 3',
      )
      .addHelpText('after', EXAMPLES),
    async (context, name: string, target: string[], options: AddOptions) =>
      (await import('./verbs/connect.ts')).connectAdd(context, { name, target, ...options }),
  )
}
