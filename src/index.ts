/** The public surface of `kiwi-mcp`. What is not named here may change at any time. */
export { createKiwi, type Kiwi, type KiwiOptions } from './compose.ts'
export type { ResolvedConfig } from './config/config.ts'
export { type Check, doctor } from './doctor.ts'
export type { HarnessHost } from './harness/custom/harness-host.ts'
export { receiveMessages } from './harness/custom/receive-messages.ts'
export { runThreadTurn, type ThreadTurn, type ThreadTurnOptions } from './harness/custom/thread-turn.ts'
export type { ModelTarget, PriceTable } from './harness/safety/services.ts'
export type { Json, JsonObject } from './json.ts'
export type { Kernel, MetaToolRequest, MetaToolResult } from './kernel/contract.ts'
export { type ErrorBody, type ErrorCode, type ErrorEnvelope, KiwiError, toEnvelope } from './kernel/errors.ts'
export type { Item, ItemProblem, ItemType, Space } from './kernel/items/item.ts'
export type { HttpExecution, HttpResult, Sink, StreamEvent } from './primitives/http-client/contract.ts'
export { createHttpClient, executeHttp } from './primitives/http-client/http-client.ts'
export { type ScriptedModel, type ScriptedModelOptions, startScriptedModel } from './scripted-model/server.ts'
export type {
  BudgetView,
  Commit,
  Effect,
  EndReason,
  NewEvent,
  NewMessage,
  Next,
  Receive,
  Runner,
  RunTurn,
  Signal,
  SignalKind,
  Status,
  StepMeta,
  StepOptions,
  StepOutcome,
  StoredMessage,
  ThreadStart,
  ThreadState,
  TurnContext,
  UsageDelta,
  WaitReason,
} from './threads/engine.ts'
export type {
  SpawnReceipt,
  SpawnRequest,
  ThreadEventRow,
  ThreadQuery,
  ThreadRow,
  ThreadsClient,
} from './threads/threads-client.ts'
