import type { ExecutionContext } from '../kernel/chain/primitive.ts'
import { KiwiError } from '../kernel/errors.ts'
import type { Connectors } from './contract.ts'

/** The connectors of a shipped tool's call. @throws {KiwiError} INTERNAL where a caller composed none. */
export function connectorsOf(context: ExecutionContext): Connectors {
  const connectors = context.services?.['connectors']
  if (connectors === undefined)
    throw new KiwiError('INTERNAL', 'This tool needs the connectors of a project, which this caller did not compose.')
  // compose.ts is the only writer of `services.connectors`, and writes this type.
  return connectors as Connectors
}
