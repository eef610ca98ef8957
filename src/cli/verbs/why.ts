import type { JsonObject } from '../../json.ts'
import { explainThread } from '../../harness/safety/why/explain-thread.ts'
import type { Explanation } from '../../harness/safety/why/explain-thread.ts'
import type { ThreadsClient } from '../../threads/threads-client.ts'
import { withKiwi, type CliContext } from '../context.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { clip, fields, widthOf } from '../format.ts'
import { eventLine, missingOf, saidIn } from '../thread-text.ts'

/** `kiwi why ID`: why a thread ended or waits, event by event; JSON is the whole explanation. */
export async function why(context: CliContext, threadId: string, options: { readonly lines: number }): Promise<ExitCode> {
  return withKiwi(context, async (kiwi) => {
    const threads = kiwi.threads(context.projectPath)
    const explanation = explainThread(threads, threadId, { events: options.lines })
    const width = widthOf(process.stdout, 160)
    context.output.data(explanation, () => whyText(threads, explanation, width))
    return EXIT.ok
  })
}

function whyText(threads: ThreadsClient, explained: Explanation, width: number): string {
  const line = (text: string): string => `  ${clip(text, width - 2)}`
  return [
    clip(explained.verdict, width * 4),
    '',
    fields([
      ['thread', explained.thread_id],
      ['status', [explained.status, explained.end_reason ?? explained.wait_reason].filter((part) => part !== null).join(', ')],
      ['below', explained.ancestry.length < 2 ? null : places(explained.ancestry)],
      ['chain', explained.chain.length < 2 ? null : places(explained.chain)],
    ]),
    ...block(
      'budget',
      explained.budget.map(({ limit, used, max, reached }) =>
        line(`${limit.padEnd(22)} ${round(used)} of ${max}${reached ? '  reached' : ''}`),
      ),
    ),
    ...block(
      'denied',
      explained.denials.map((denial) => line(denialText(denial))),
    ),
    ...block(
      'failed calls',
      explained.failures.map(({ ts, tool, code, message, links, failing_link: link, cause }) =>
        line(
          [
            `${ts.slice(11, 19)}  ${tool}`,
            code ?? '',
            links.length < 2 ? '' : `in ${links.join(' → ')}${link === null ? '' : `, at ${link}`}`,
            message,
            cause === null ? '' : `(${cause})`,
          ]
            .filter((part) => part !== '')
            .join('  '),
        ),
      ),
    ),
    ...block(
      'questions',
      explained.questions.map(({ approval_id: id, status, title, answer }) =>
        line(`${id}  ${status}  ${title}${answer === null || answer.reason === '' ? '' : ` (${answer.reason})`}`),
      ),
    ),
    ...block(
      'hooks',
      explained.hooks.map(({ ts, directive, thread_id: id, event, code, answer, message }) =>
        line(
          [`${ts.slice(11, 19)}  ${directive ?? 'none'}`, id ?? '', `${event} (${code})`, answer ?? 'still asked', message ?? '']
            .filter((part) => part !== '')
            .join('  '),
        ),
      ),
    ),
    ...block(
      'failed checks',
      explained.checks.map((facts) => line(factsText(facts))),
    ),
    ...block(
      'interventions',
      explained.interventions.map((facts) => line(factsText(facts))),
    ),
    ...block(
      'handing on',
      explained.handoffs.map((facts) => line(factsText(facts))),
    ),
    ...block(
      'children that did not complete',
      explained.children.map((child) => line(places([child]))),
    ),
    ...block(
      'events',
      explained.timeline.map((event) => `  ${eventLine(event, width - 2, saidIn(threads, event))}`),
    ),
  ].join('\n')
}

function block(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', title, ...lines]
}

function places(path: Explanation['ancestry']): string {
  return path
    .map(({ thread_id: id, status, end_reason: reason }) => `${id} (${reason === null || reason === 'done' ? status : reason})`)
    .join(' → ')
}

function denialText(denial: JsonObject): string {
  const { ts, tool, suggestion } = denial
  const advice = typeof suggestion === 'string' ? `. ${suggestion}` : ''
  return `${typeof ts === 'string' ? ts.slice(11, 19) : ''}  ${typeof tool === 'string' ? tool : ''} lacked ${missingOf(denial)}${advice}`
}

/** The time and the facts of an event whose type the title of its block says. */
function factsText({ seq: _seq, ts, ...facts }: JsonObject): string {
  const shown = Object.entries(facts).filter(([name, value]) => value !== null && name !== 'signal_id')
  const texts = shown.map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return `${typeof ts === 'string' ? ts.slice(11, 19) : ''}  ${texts.join(' ')}`
}

function round(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(6)
}
