import { type Command, Option } from 'commander'
import { collect, countingNumber, type On, positiveNumber, wholeNumber } from './grammar.ts'
import type { ContinueOptions } from './verbs/continue.ts'
import type { SinkOptions } from './verbs/sink.ts'
import type { Amounts, ResumeOptions } from './verbs/steer.ts'

/** Verbs that start threads and look at them. */
export function addThreadVerbs(program: Command, on: On): void {
  on(
    program
      .command('run')
      .description('spawn a directive as a thread and follow it')
      .argument('<directive>')
      .argument('[message]', 'what to do, in words')
      .option('-i, --input <name=value>', 'an input of the directive; repeat it for more', collect, [])
      .option('-d, --detach', 'print the thread id and return at once'),
    async (context, ...args: RunArguments) => (await import('./verbs/run.ts')).run(context, ...args),
  )
  on(
    program
      .command('ps')
      .description('list threads, newest first')
      .option('-a, --all', 'finished ones too')
      .option('--tree', 'each with everything below it: status, turns, cost, and the budget that is left')
      .addOption(new Option('-s, --status <status>').choices(STATUSES)),
    async (context, options: { all?: boolean; tree?: boolean; status?: Status }) =>
      (await import('./verbs/ps.ts')).ps(context, options),
  )
  on(
    program
      .command('show')
      .description('one thread: row, usage, budget, family, what may be done to it, last events')
      .argument('<id>'),
    async (context, id: string) => (await import('./verbs/show.ts')).show(context, id),
  )
  on(
    program
      .command('why')
      .description('why a thread ended or waits: denials, failures, limits, questions, event by event')
      .argument('<id>')
      .option('-n, --lines <count>', 'how many of the last events', wholeNumber, 60),
    async (context, id: string, options: { lines: number }) => (await import('./verbs/why.ts')).why(context, id, options),
  )
  on(
    program
      .command('tail')
      .description('the last events of a thread')
      .argument('<id>')
      .option('-n, --lines <count>', 'how many', wholeNumber, 20)
      .option('--since <seq>', 'instead of the last, those after this one', wholeNumber)
      .option('-t, --type <type>', 'only events of this type; repeat it for more', collect, [])
      .option('-f, --follow', 'go on until the thread ends'),
    async (context, id: string, options: { lines: number; since?: number; type: string[]; follow?: boolean }) =>
      (await import('./verbs/tail.ts')).tail(context, id, options),
  )
  on(
    program
      .command('wait')
      .description('wait until threads end or need a person')
      .argument('<id...>')
      .option('-t, --timeout <seconds>', 'give up after this long (default: never)', positiveNumber),
    async (context, ids: string[], options: { timeout?: number }) =>
      (await import('./verbs/wait.ts')).wait(context, ids, options),
  )
}

/** Verbs that do something to a thread; who did it, and the reason, stand in its log. */
export function addSteeringVerbs(program: Command, on: On): void {
  on(
    withReason(program.command('pause').description('stop a thread at its next turn').argument('<id>')).option(
      '-m, --message <text>',
      'told to the model when it goes on',
    ),
    async (context, id: string, options: { message?: string; reason?: string }) =>
      (await import('./verbs/steer.ts')).pause(context, id, options),
  )
  on(
    withReason(
      withAmounts(
        program
          .command('resume')
          .description('let a paused or waiting thread go on')
          .argument('<id>')
          .option('-m, --message <text>', 'told to the model'),
      ),
    ),
    async (context, id: string, options: ResumeOptions) => (await import('./verbs/steer.ts')).resume(context, id, options),
  )
  on(
    withReason(
      withAmounts(program.command('raise').description('add to the limits of a thread, also while it runs').argument('<id>')),
    ),
    async (context, id: string, options: Amounts & { reason?: string }) =>
      (await import('./verbs/steer.ts')).raise(context, id, options),
  )
  on(
    withReason(
      program
        .command('cancel')
        .description('end a thread and everything below it')
        .argument('<id>')
        .option('--now', 'interrupt the running step too'),
    ),
    async (context, id: string, options: { now?: boolean; reason?: string }) =>
      (await import('./verbs/steer.ts')).cancel(context, id, options),
  )
  on(
    withReason(
      program
        .command('inject')
        .description('say something to a running thread')
        .argument('<id>')
        .argument('<text>')
        .addOption(new Option('-r, --role <role>', 'who speaks').choices(['user', 'system']).default('user')),
    ),
    async (context, id: string, text: string, options: { role: 'user' | 'system'; reason?: string }) =>
      (await import('./verbs/steer.ts')).inject(context, id, text, options),
  )
  addContinuingVerbs(program, on)
  addSinkVerb(program, on)
}

function addSinkVerb(program: Command, on: On): void {
  on(
    withReason(
      program
        .command('sink')
        .description('send the stream of a thread to one more place, from its next model call on')
        .argument('<id>')
        .argument('<type>', 'file, websocket_sink, or another sink')
        .option('--path <path>', 'in the project; {thread_id} stands for the id')
        .option('--url <url>', 'ws or wss')
        .addOption(new Option('--format <format>', 'of a file').choices(['jsonl', 'raw']))
        .addOption(
          new Option('--on-error <policy>', 'what a broken sink means').choices(['drop', 'retry', 'fail']).default('drop'),
        )
        .option('-p, --param <name=value>', 'anything else that the sink takes; name:=JSON for other than text', collect, []),
    ),
    async (context, id: string, type: string, options: SinkOptions) =>
      (await import('./verbs/sink.ts')).sink(context, id, type, options),
  )
}

function addContinuingVerbs(program: Command, on: On): void {
  on(
    withReason(
      program
        .command('retry')
        .description('go on with a thread that has ended in a new one, and follow it')
        .argument('<id>')
        .argument('[message]', 'what to do now, in words')
        .option('-d, --detach', 'print the thread id and return at once'),
    ),
    async (context, id: string, message: string | undefined, options: ContinueOptions) =>
      (await import('./verbs/continue.ts')).retry(context, id, message, options),
  )
  on(
    withReason(
      program
        .command('fork')
        .description('start another thread from an earlier point of one, and follow it')
        .argument('<id>')
        .argument('[message]', 'what to do from there, in words')
        .option('--at <seq>', 'the event up to which its conversation is taken (kiwi tail shows them)', countingNumber)
        .option('--checkpoint <name>', 'or the newest checkpoint of this name')
        .option('-d, --detach', 'print the thread id and return at once'),
    ),
    async (context, id: string, message: string | undefined, options: ContinueOptions) =>
      (await import('./verbs/continue.ts')).fork(context, id, message, options),
  )
}

function withReason(command: Command): Command {
  return command.option('--reason <text>', 'why; logged, not told to the model')
}

function withAmounts(command: Command): Command {
  return command
    .option('--add-usd <dollars>', 'raise its money limit', positiveNumber)
    .option('--add-turns <count>', 'raise its turn limit', countingNumber)
    .option('--add-tokens <count>', 'raise each of its token limits', countingNumber)
    .option('--add-tool-calls <count>', 'raise its limit of tool calls', countingNumber)
    .option('--add-seconds <count>', 'raise its limit of time', countingNumber)
}

type Status = 'spawning' | 'running' | 'paused' | 'waiting' | 'completed' | 'error' | 'cancelled'
type RunArguments = [directive: string, message: string | undefined, options: { input: string[]; detach?: boolean }]

const STATUSES: readonly Status[] = ['spawning', 'running', 'paused', 'waiting', 'completed', 'error', 'cancelled']
