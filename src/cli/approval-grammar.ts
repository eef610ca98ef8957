import type { Command } from 'commander'
import type { On } from './grammar.ts'
import { countingNumber, positiveNumber } from './grammar.ts'
import type { ApproveOptions, DenyOptions } from './verbs/approvals.ts'

/** Verbs that show and answer what threads ask. */
export function addApprovalVerbs(program: Command, on: On): void {
  on(
    program
      .command('approvals')
      .description('what threads ask you; with the id of a question, everything about it')
      .argument('[id]', 'a thread, for its questions and those of threads below it, or a question')
      .option('-a, --all', 'those that wait for no answer any more too'),
    async (context, id: string | undefined, options: { all?: boolean }) =>
      (await import('./verbs/approvals.ts')).approvals(context, id, options),
  )
  on(
    program
      .command('approve')
      .description('say yes: the call runs, the change is made with your key, the thread goes on')
      .argument('<approval>')
      .option('--for-thread', 'also to further calls of the same tool by this thread')
      .option('-m, --message <text>', 'told to the model, and logged')
      .option('--reason <text>', 'the same')
      .option('--add-usd <dollars>', 'raise its money limit (default: as it asks)', positiveNumber)
      .option('--add-turns <count>', 'raise its turn limit', countingNumber)
      .option('--add-tokens <count>', 'raise each of its token limits', countingNumber)
      .option('--add-tool-calls <count>', 'raise its limit of tool calls', countingNumber)
      .option('--add-seconds <count>', 'raise its limit of time', countingNumber),
    async (context, id: string, options: ApproveOptions) => (await import('./verbs/approvals.ts')).approve(context, id, options),
  )
  on(
    program
      .command('deny')
      .description('say no: nothing runs, and the thread is told')
      .argument('<approval>')
      .option('--reason <text>', 'told to the model, and logged')
      .option('-m, --message <text>', 'the same'),
    async (context, id: string, options: DenyOptions) => (await import('./verbs/approvals.ts')).deny(context, id, options),
  )
}
