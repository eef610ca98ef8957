import type { StopReason } from '../../base/conversation.ts'
import type { Incomplete } from '../../base/model-call.ts'
import { verify } from '../checks/verify.ts'
import type { AnswerInput } from './answer-input.ts'
import type { TurnEnd } from './scene.ts'
import type { SafetyData } from './state.ts'
import { endWith, tell } from './turn-draft.ts'

/** Answers in a row that may bring nothing before the thread ends. */
const MAX_FRUITLESS = 3

/** What an answer without tool calls means: the end of the work, or that something was wrong with it. */
export async function concludeText(input: AnswerInput, given: SafetyData, text: string): Promise<TurnEnd> {
  const { ctx, answer } = input
  if (answer.stop === 'context_exceeded')
    return endWith(ctx, given, 'context_exceeded', { message: 'The provider says that the context is full.' })
  const problem = problemOf(answer, text)
  if (problem === null) return verify(input, given, text)
  const data: SafetyData = { ...given, fruitless: given.fruitless + 1 }
  if (data.fruitless >= MAX_FRUITLESS) return endWith(ctx, data, problem.endReason, { message: problem.message, text })
  tell(ctx, problem.advice)
  return { data, next: { do: 'turn' } }
}

interface Problem {
  readonly endReason: 'stream_failed' | 'max_tokens'
  readonly message: string
  readonly advice: string
}

/** Why an answer without tool calls is not the end of the work; null when it is. */
function problemOf(
  { stop, incomplete }: { readonly stop: StopReason | null; readonly incomplete: Incomplete | null },
  text: string,
): Problem | null {
  const failed = { endReason: 'stream_failed' } as const
  if (incomplete?.code === 'STREAM_INCOMPLETE') {
    const advice = 'Your last answer was cut off by a broken connection. Go on where it stopped; do not repeat what was said.'
    return { ...failed, message: `Several answers in a row were cut off: ${incomplete.message}`, advice }
  }
  if (stop === 'max_tokens' || incomplete !== null) {
    const advice =
      'Your last answer reached its output limit. Go on where it stopped, in smaller pieces; write long texts in several tool calls.'
    return { endReason: 'max_tokens', message: 'Several answers in a row reached the output limit of one call.', advice }
  }
  if (stop === 'refusal') {
    return {
      ...failed,
      message: 'The model refused.',
      advice: 'You declined. If a part of the task can be done, do that part and say what you left out.',
    }
  }
  if (stop === 'pause_turn') return { ...failed, message: 'The model paused several times in a row.', advice: 'Go on.' }
  if (text.trim() !== '') return null
  return {
    ...failed,
    message: 'The model gave no answer several times in a row.',
    advice: 'Your last answer was empty. Call a tool, or finish with a text that says what was done.',
  }
}
